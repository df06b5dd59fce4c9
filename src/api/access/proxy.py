"""Callers that a reverse proxy names: by headers, which count from its address alone."""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.types import Scope as AsgiScope

from api.access.caller import Caller
from service.access.scopes import Scope
from service.logs import logger

SCOPE_HEADER = b"x-auth-scope"
USER_HEADER = b"x-auth-user"
_MAX_USER = 100
"""Characters of a user's name in log lines."""

log = logger(__name__)


class Proxy:
    def __init__(self, networks: Sequence[IPv4Network | IPv6Network], is_unix: bool) -> None:
        """`is_unix`: the api listens on a unix socket, so that all requests come from a proxy."""
        self._is_unix = is_unix

        @lru_cache(maxsize=1_000)
        def is_named(host: str) -> bool:
            address = ip_address(host)
            return any(address in network for network in networks)

        self._is_named = is_named

    def caller(self, scope: AsgiScope) -> Caller | None:
        """The caller that a proxy names; None if it names none, or if the request is from elsewhere."""
        client = scope.get("client")
        if not (self._is_unix or (client is not None and self._is_named(client[0]))):
            return None
        scopes = [value for name, value in scope["headers"] if name == SCOPE_HEADER]
        users = [value for name, value in scope["headers"] if name == USER_HEADER]
        if not scopes:
            return None
        try:
            # Of two headers one may be the client's.
            if len(scopes) > 1 or len(users) > 1:
                raise ValueError("there are two headers of a name: the proxy has to replace those of its clients")
            user = users[0].decode("utf-8", "replace")[:_MAX_USER] if users else ""
            return Caller(f"proxy:{user}", _parsed(scopes[0]))
        except ValueError as error:
            log.warning("proxy_scope_refused", reason=str(error))
            return None


@lru_cache(maxsize=1_000)
def _parsed(text: bytes) -> Scope:
    return Scope.parse(text.decode())
