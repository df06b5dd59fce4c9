"""The site whose page asks: browsers name it in the headers of Fetch Metadata. Programs send none of them.

A page of another site cannot read an answer. But it hears whether an image, a frame or a prefetch failed or became a
download, and so whether a customer is known. And it could have questions asked that take long.
"""

from collections.abc import Collection

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.access.authentication import is_open
from api.access.cookies import header
from api.http.errors import problem_response

_OWN = (b"", b"same-origin", b"none")
"""A program, the page itself, and what a person has typed or opened."""


class RefuseOtherSites:
    """Middleware that answers 403 to pages of other sites, but for links that a person follows, for origins that may
    ask, and for what is open to everyone."""

    def __init__(self, app: ASGIApp, origins: Collection[str]) -> None:
        """`origins`: those that may ask; `*`: all."""
        self._app = app
        self._origins = {origin.encode() for origin in origins}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._may_ask(scope):
            refused = problem_response(
                Request(scope), 403, "A page of another site may not ask: CORS_ORIGINS has to name it"
            )
            await refused(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_ask(self, scope: Scope) -> bool:
        if header(scope, b"sec-fetch-site") in _OWN or is_open(scope["path"]):
            return True
        mode = header(scope, b"sec-fetch-mode")
        if mode == b"navigate":
            # Of frames and embedded objects it is another one.
            return header(scope, b"sec-fetch-dest") == b"document"
        return mode == b"cors" and (b"*" in self._origins or header(scope, b"origin") in self._origins)
