"""The application: routes, errors, documentation."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline

from api.answering import Answers
from api.breakdown_routes import router as breakdown_router
from api.head import Head
from api.routes import router
from service.logs import logger
from storage.contract import Storage, StorageRefused, StorageUnavailable

RETRY_AFTER_SECONDS = 5

log = logger(__name__)


def build_app(storage: Storage, retention_days: int) -> FastAPI:
    """The application. It answers from `storage`, and closes it in the end."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await storage.aclose()

    app = FastAPIOffline(
        title="Request statistics",
        description="Exact statistics of a log of requests, by customer and UTC day.",
        version="1",
        lifespan=lifespan,
        redoc_url=None,
        redirect_slashes=False,
        # Without null here Swagger UI has the document checked by a server on the internet.
        swagger_ui_parameters={"validatorUrl": None},
    )
    app.state.storage = storage
    app.state.answers = Answers(storage)
    app.state.retention_days = retention_days
    app.include_router(router)
    app.include_router(breakdown_router)
    app.add_middleware(Head)
    app.add_exception_handler(StorageUnavailable, _unavailable)
    app.add_exception_handler(StorageRefused, _refused)
    app.add_exception_handler(Exception, _failed)
    return app


async def _unavailable(_: Request, error: Exception) -> JSONResponse:
    log.warning("store_unavailable", error=str(error))
    return JSONResponse({"detail": str(error)}, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _refused(_: Request, error: Exception) -> JSONResponse:
    # No Retry-After: it takes a person to mend this.
    log.error("store_refused", error=str(error))
    return JSONResponse({"detail": str(error)}, 503)


async def _failed(_: Request, _error: Exception) -> JSONResponse:
    # The server logs it, with its traceback, and closes the connection: say so, lest the client asks again on it.
    return JSONResponse({"detail": "Internal Server Error"}, 500, {"Connection": "close"})
