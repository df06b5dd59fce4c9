"""The routes of the page's sessions: log in with a key, log out, and who has a session."""

import json

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from api.access.access import KeyAccess
from api.access.cookies import header, link_of, set_cookie
from api.access.sessions import SESSION_SECONDS
from service.logs import logger

_MAX_BODY = 1_000
"""Bytes of the body of a login."""
_NO_STORE = {"Cache-Control": "no-store"}

log = logger(__name__)

router = APIRouter(include_in_schema=False)
"""Always there."""
key_router = APIRouter(include_in_schema=False)
"""There where keys are asked for."""


@router.get("/session")
async def session(request: Request) -> JSONResponse:
    """What the caller may see, and whether a session can be ended."""
    caller = request.app.state.access.caller(request.scope)
    found = {"scope": caller.scope.kind, "customers": sorted(caller.scope.customers), "has_session": caller.has_session}
    return JSONResponse(found, headers=_NO_STORE)


@key_router.post("/login")
async def login(request: Request) -> Response:
    """Begin a session: the body is `{"key": "rs_..."}`."""
    _require_same_origin(request)
    access: KeyAccess = request.app.state.access
    link = link_of(request.scope)
    key = access.key(await _key_of(request))
    if key is None or (link and key.id != link):
        log.warning("login_refused")
        raise HTTPException(401, "This key is unknown, expired or revoked", {"WWW-Authenticate": "Bearer"})
    cookie = access.sessions.issue(key.id, link)
    if cookie is None:
        raise HTTPException(503, "Nobody can log in: SESSION_SECRET_FILE cannot be used, see the api's log")
    log.info("logged_in", key=key.id)
    return _with_cookie(request, cookie, SESSION_SECONDS)


@key_router.post("/logout")
async def logout(request: Request) -> Response:
    """End the session: in this browser, and for copies of its cookie."""
    _require_same_origin(request)
    request.app.state.access.end_session(request.scope)
    return _with_cookie(request, "", 0)


def _with_cookie(request: Request, value: str, seconds: int) -> Response:
    return Response(status_code=204, headers={**_NO_STORE, "Set-Cookie": set_cookie(request.scope, value, seconds)})


async def _key_of(request: Request) -> bytes:
    if header(request.scope, b"content-type").partition(b";")[0].strip().lower() != b"application/json":
        # A form of another site can send every other type.
        raise HTTPException(415, "The body has to be application/json")
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > _MAX_BODY:
                raise HTTPException(413, f"The body is longer than {_MAX_BODY:,} bytes")
    except ClientDisconnect:
        # Or else everyone could have the log filled with tracebacks.
        raise HTTPException(400, "The client left before its body was whole") from None
    try:
        return bytes(json.loads(body)["key"].encode())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise HTTPException(422, 'The body has to be {"key": "rs_..."}') from None


def _require_same_origin(request: Request) -> None:
    """HTTPException 403 if a page of another site asks. Programs send neither header."""
    site = header(request.scope, b"sec-fetch-site")
    origin = header(request.scope, b"origin").decode("latin-1")
    # No parser of URLs: it would fail on some.
    is_foreign = bool(origin) and origin.partition("://")[2] != header(request.scope, b"host").decode("latin-1")
    if is_foreign or site not in (b"", b"same-origin"):
        raise HTTPException(403, "Only the page itself may do this. A proxy before it has to pass `Host` on")
