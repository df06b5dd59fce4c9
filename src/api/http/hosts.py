"""The Host of a request: only known names are answered.

A web page can have the name of its own site resolve to this machine (DNS rebinding). Its requests then are of the same
origin as the page, so it may read the answers. Their Host is the name of that site.
"""

from collections.abc import Collection

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from api.http.errors import IS_FOREIGN, problem_response

# Probes name the machine by any address, and these answers hold no data: nor why the store does not answer.
_ANSWER_ANY_HOST = {"/health", "/ready"}
_MOST_NAMED = 255
"""Characters of a Host that the response repeats: no name in DNS is longer."""


class AllowedHosts:
    """Middleware that answers 421 where the request's Host is none of the allowed ones."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        """`hosts`: names or addresses in lower case, without a port; an IPv6 address in brackets."""
        self._app = app
        self._hosts = {host.encode() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            named = [value for name, value in scope["headers"] if name == b"host"]
            # Two of them could mean one host to a proxy and another one here.
            is_allowed = len(named) == 1 and _without_port(named[0]) in self._hosts
            scope["state"][IS_FOREIGN] = not is_allowed
            if not is_allowed and scope["path"] not in _ANSWER_ANY_HOST:
                host = b", ".join(named).decode("latin-1")[:_MOST_NAMED]
                refused = problem_response(
                    Request(scope), 421, f"The host '{host}' is not allowed: ALLOWED_HOSTS has to name it"
                )
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _without_port(host: bytes) -> bytes:
    name, _, port = host.lower().rpartition(b":")
    return name if port.isdigit() else host.lower()
