"""Errors as problem details (RFC 9457), with the id of the request, under which the log has them."""

from http import HTTPStatus
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

PROBLEM_JSON = "application/problem+json"
RETRY_AFTER_SECONDS = 5
IS_FOREIGN = "host_is_foreign"
"""Where the state of a request says whether its `Host` is none of the allowed ones."""

log = logger(__name__)


def add_error_handlers(app: FastAPI) -> None:
    """Have the application answer every error with problem details."""
    app.add_exception_handler(StorageUnavailable, _store_unavailable)
    app.add_exception_handler(StorageRefused, _store_refused)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(Exception, _internal_error)


async def _store_unavailable(request: Request, error: Exception) -> JSONResponse:
    STORE_ERRORS.labels("unavailable").inc()
    log.warning("store_unavailable", error=str(error))
    detail = _reason(request, error, "The store does not answer in time: ask again")
    return problem_response(request, 503, detail, {"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _store_refused(request: Request, error: Exception) -> JSONResponse:
    # Without Retry-After, because it takes a person to fix this.
    STORE_ERRORS.labels("refused").inc()
    log.error("store_refused", error=str(error))
    return problem_response(request, 503, _reason(request, error, "The store cannot answer this"))


def _reason(request: Request, error: Exception, for_others: str) -> str:
    """What an error of the store says, or a sentence for callers who do not see everything, and for pages of foreign
    hosts: names of hosts, files and customers may be in it."""
    is_foreign = request.scope["state"].get(IS_FOREIGN, False)
    if request.app.state.access.sees_everything(request.scope) and not is_foreign:
        return str(error)
    return f"{for_others}. The api's log says why, under this request_id"


async def _http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return problem_response(request, error.status_code, error.detail, dict(error.headers or {}))


async def _invalid_parameters(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    return problem_response(request, 422, jsonable_encoder(error.errors()))


async def _internal_error(request: Request, _error: Exception) -> JSONResponse:
    # The server logs the traceback and closes the connection. The header tells the client not to use it again. The
    # middleware that adds the id is inside of the one that calls this.
    headers = {"Connection": "close", HEADER: request.state.request_id}
    return problem_response(request, 500, "Internal Server Error", headers)


def problem_response(request: Request, status: int, detail: Any, headers: dict[str, str] | None = None) -> JSONResponse:
    content = problem(status, detail, request.state.request_id)
    return JSONResponse(content, status, headers, media_type=PROBLEM_JSON)


def problem(status: int, detail: Any, request_id: str) -> dict[str, Any]:
    """Problem details. `detail`: a sentence, or one object for each invalid parameter."""
    return {
        # RFC 9457, 4.2.1: nothing beyond the status.
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
