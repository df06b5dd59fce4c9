"""Security headers: a browser may only show a response (OWASP, HTTP Headers Cheat Sheet)."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


def _with_policy(policy: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-content-type-options", b"nosniff"),
        (b"x-frame-options", b"DENY"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-opener-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
        (b"content-security-policy", policy),
    ]


# Where keys are asked for: a cache that several people share keeps nothing, and browsers take no other's answer.
_PRIVATE = [(b"cache-control", b"private"), (b"vary", b"Authorization, Cookie")]
_HEADERS = _with_policy(b"default-src 'none'; frame-ancestors 'none'")
_HEADERS_OF_PAGES = {
    "/": _with_policy(
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    # The page of Swagger UI has an inline script.
    "/docs": _with_policy(
        b"default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        b"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    ),
}


class SecurityHeaders:
    """Middleware that adds the headers to each response. `is_private`: whether answers are for their callers alone."""

    def __init__(self, app: ASGIApp, is_private: bool = False) -> None:
        self._app = app
        added = _PRIVATE if is_private else []
        self._headers = _HEADERS + added
        self._headers_of_pages = {path: headers + added for path, headers in _HEADERS_OF_PAGES.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = self._headers_of_pages.get(scope["path"], self._headers)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] += headers
            await send(message)

        await self._app(scope, receive, answer)
