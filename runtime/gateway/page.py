"""The page at `/`: what runs here, what the API offers, and how to try it. Files of our own only, held in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from aiohttp import web

FOLDER: Final = Path(__file__).with_name("static")
FILES: Final = {
    "/": ("index.html", "text/html"),
    "/static/page.css": ("page.css", "text/css"),
    "/static/page.js": ("page.js", "text/javascript"),
}
POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Serves the page's files."""

    def __init__(self) -> None:
        self._files = {path: ((FOLDER / name).read_bytes(), kind) for path, (name, kind) in FILES.items()}

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Put the page's paths into the router."""
        for path in self._files:
            router.add_get(path, self.serve)

    async def serve(self, request: web.Request) -> web.Response:
        """One of the files."""
        body, kind = self._files[request.path]
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"}
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
