"""HTTP, on aiohttp. Everything here listens on the loopback interface alone."""
