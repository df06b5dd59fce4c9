"""Serves the files of the page."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

ASSETS = Path(__file__).with_name("assets")

# Without it, a browser keeps files as long as it likes, and mixes those of two versions.
_REVALIDATE = {"Cache-Control": "no-cache"}


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_REVALIDATE)
        return response


def serve_page(app: FastAPI) -> None:
    """Serve the page at `/`, and its other files below `/page/`."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(ASSETS / "index.html", headers=_REVALIDATE)

    app.mount("/page", _Files(directory=ASSETS), name="page")
