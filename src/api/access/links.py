"""Customers' links: `/shared/<id of a key>/` is the page with a session of its own, apart from that at `/`."""

import re

from starlette.types import ASGIApp, Receive, Scope, Send

_PREFIX = "/shared/"
_LINK = re.compile(r"/shared/([0-9a-f]{12})(/.*)", re.DOTALL)


class Links:
    """Middleware that takes the prefix of a link off a path, and puts the link's id into the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_PREFIX):
            found = _LINK.fullmatch(scope["path"])
            if found:
                prefix = len(found[0]) - len(found[2])
                scope = {
                    **scope,
                    "path": found[2],
                    # The prefix has no characters that need encoding; encoded all the same, the request is not found.
                    "raw_path": scope["raw_path"][prefix:],
                    "state": {**scope.get("state", {}), "link": found[1]},
                }
        await self._app(scope, receive, send)
