"""The live page: files of this package, read once, served as they are. Scripts and styles come from here alone."""

from importlib.resources import files

from aiohttp import web
from aiohttp.typedefs import Handler

TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Content Security Policy: nothing from elsewhere, nothing inline, in no frame."""

_HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "no-referrer", "Cache-Control": "no-cache"}


def routes() -> list[web.RouteDef]:
    """`/` and a route for each file it needs. The names are fixed when the server starts: no path reaches the disk."""
    found = []
    for file in sorted(files("streams.web").joinpath("static").iterdir(), key=lambda file: file.name):
        suffix = "." + file.name.rpartition(".")[2]
        if suffix in TYPES:
            path = "/" if file.name == "index.html" else f"/static/{file.name}"
            found.append(web.get(path, _serving(file.read_bytes(), TYPES[suffix]), allow_head=False))
    return found


def _serving(body: bytes, content_type: str) -> Handler:
    async def serve(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type=content_type, charset="utf-8", headers=_HEADERS)

    return serve
