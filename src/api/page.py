"""The page: its files, as they are."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles

FILES = Path(__file__).with_name("page")


def serve_page(app: FastAPI) -> None:
    """Answer `/` with the page, and `/page/` with what belongs to it."""

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(FILES / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=FILES), name="page")
