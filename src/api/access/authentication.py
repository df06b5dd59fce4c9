"""Lets in who may ask. It stands before the request cache, which answers known requests without their route."""

import math

import structlog
from fastapi import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.access import KeyAccess

# They tell nothing of what is stored.
_OPEN = frozenset(("/", "/health", "/ready", "/login", "/logout", "/docs", "/docs/oauth2-redirect", "/openapi.json"))
_OPEN_FILES = ("/page/", "/static-offline-docs/")


def is_open(path: str) -> bool:
    """Whether a path is for everyone."""
    return path in _OPEN or path.startswith(_OPEN_FILES)


class Authentication:
    """Middleware that puts the caller of each request into its state, or answers 401, or 429 over the limit."""

    def __init__(self, app: ASGIApp, access: KeyAccess) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not is_open(scope["path"]):
            caller = self._access.current(scope)
            if caller is None:
                detail = "A valid key is needed: `Authorization: Bearer rs_...`, or a login on the page"
                raise HTTPException(401, detail, {"WWW-Authenticate": "Bearer"})
            scope["state"]["caller"] = caller
            # All further log lines of this request have it.
            structlog.contextvars.bind_contextvars(key=caller.name)
            seconds = self._access.limits.take(caller.name)
            if seconds:
                raise HTTPException(429, "Too many requests with this key", {"Retry-After": str(math.ceil(seconds))})
        await self._app(scope, receive, send)
