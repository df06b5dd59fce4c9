"""Serves the files of the page, and those of Swagger UI."""

from dataclasses import dataclass
from hashlib import blake2b
from mimetypes import guess_type
from pathlib import Path

from fastapi import FastAPI, HTTPException
from fastapi.staticfiles import StaticFiles
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from api.http.etags import client_has

ASSETS = Path(__file__).with_name("assets")
_PART_BYTES = 64 << 10
"""Bytes of a file that are sent at once."""


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str | None
    tag: str

    @classmethod
    def read(cls, path: Path) -> "_File":
        content = path.read_bytes()
        return cls(content, guess_type(path.name)[0], f'"{blake2b(content, digest_size=16).hexdigest()}"')


class Files(StaticFiles):
    """The files of a folder, which are read once.

    An open file for each client that reads slowly would leave no descriptors for others. And everyone may ask for these
    files: to read one in a hundred ranges took 50 times the CPU of another answer.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._files = {str(path.relative_to(folder)): _File.read(path) for path in folder.rglob("*") if path.is_file()}

    async def get_response(self, path: str, scope: Scope) -> Response:
        if scope["method"] != "GET":
            raise HTTPException(405, headers={"Allow": "GET"})
        file = self._files.get(path)
        if file is None:
            raise HTTPException(404)
        # Without no-cache, a browser keeps files as long as it likes, and mixes those of two versions.
        headers = {"ETag": file.tag, "Cache-Control": "no-cache"}
        if client_has(scope, file.tag):
            return Response(status_code=304, headers=headers)
        return _InParts(file.content, headers=headers, media_type=file.media_type)


class _InParts(Response):
    """A response of which a client that reads slowly leaves little unread: those with the most are closed, and everyone
    may ask for files."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for start in range(0, len(self.body) or 1, _PART_BYTES):
            end = start + _PART_BYTES
            part = {"type": "http.response.body", "body": self.body[start:end], "more_body": end < len(self.body)}
            await send(part)


def serve_page(app: FastAPI) -> None:
    """Serve the page at `/`, its other files below `/page/`, and those of Swagger UI where the application has them."""
    for route in app.routes:
        if isinstance(route, Mount) and isinstance(route.app, StaticFiles) and route.app.directory is not None:
            route.app = Files(Path(route.app.directory))
    files = Files(ASSETS)

    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)

    app.mount("/page", files, name="page")
