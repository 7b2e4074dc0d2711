"""HTTP, on aiohttp. Everything here listens on the loopback interface unless it is told otherwise."""
