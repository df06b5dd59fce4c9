"""The page: its files, as they are."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

FILES = Path(__file__).with_name("assets")


_ASK_EACH_TIME = {"Cache-Control": "no-cache"}
"""Else a browser decides by itself how long it keeps a file, and mixes those of two versions."""


class _Files(StaticFiles):
    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers.update(_ASK_EACH_TIME)
        return response


def serve_page(app: FastAPI) -> None:
    """Answer `/` with the page, and `/page/` with what belongs to it."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(FILES / "index.html", headers=_ASK_EACH_TIME)

    app.mount("/page", _Files(directory=FILES), name="page")
