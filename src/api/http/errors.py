"""What is answered when something is wrong: why, and the id of the request, by which the log has it too."""

from typing import Any

from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from api.http.metrics import STORE_ERRORS
from api.http.request_ids import HEADER
from service.logs import logger
from storage.errors import StorageRefused, StorageUnavailable

RETRY_AFTER_SECONDS = 5

log = logger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Have the application answer errors in one form."""
    app.add_exception_handler(StorageUnavailable, _unavailable)
    app.add_exception_handler(StorageRefused, _refused)
    app.add_exception_handler(HTTPException, _problem)
    app.add_exception_handler(RequestValidationError, _bad_parameters)
    app.add_exception_handler(Exception, _failed)


async def _unavailable(request: Request, error: Exception) -> JSONResponse:
    STORE_ERRORS.labels("unavailable").inc()
    log.warning("store_unavailable", error=str(error))
    return _answer(request, 503, str(error), {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _refused(request: Request, error: Exception) -> JSONResponse:
    # No Retry-After: it takes a person to mend this.
    STORE_ERRORS.labels("refused").inc()
    log.error("store_refused", error=str(error))
    return _answer(request, 503, str(error))


async def _problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return _answer(request, error.status_code, error.detail, dict(error.headers or {}))


async def _bad_parameters(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return _answer(request, 422, jsonable_encoder(error.errors()))


async def _failed(request: Request, _error: Exception) -> JSONResponse:
    # The server logs it, with its traceback, and closes the connection: say so, lest the client asks again on it. What
    # gives other answers their id does not see this one.
    headers = {"Connection": "close", HEADER: request.state.request_id}
    return _answer(request, 500, "Internal Server Error", headers)


def _answer(request: Request, status: int, detail: Any, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail, "request_id": request.state.request_id}, status, headers)
