"""Who may ask: everyone, or who has a key, a session of one, or a proxy that names them."""

from abc import ABC, abstractmethod

from fastapi import HTTPException
from starlette.types import Scope

from api.access.caller import EVERYONE, Caller
from api.access.cookies import cookie_of, link_of
from api.access.limits import Limits
from api.access.proxy import Proxy
from api.access.sessions import Sessions
from service.access.keys import Key, Keys, bearer_key
from service.access.private_files import PrivateFile


class Access(ABC):
    @abstractmethod
    def caller(self, scope: Scope) -> Caller:
        """The caller of a request that was let in."""

    @abstractmethod
    def current(self, scope: Scope) -> Caller | None:
        """The caller of a request, by what holds now; None if it would not be let in any more."""

    @abstractmethod
    def sees_everything(self, scope: Scope) -> bool:
        """Whether the caller may see everything: also what is wrong with the store."""

    def require_operator(self, scope: Scope) -> None:
        """HTTPException 403 if the caller may not see everything."""
        if not self.caller(scope).scope.sees(None):
            raise forbidden()

    def require_customers(self, scope: Scope) -> None:
        """HTTPException 403 if the caller may see no customer at all."""
        caller = self.caller(scope).scope
        if not caller.sees(None) and not caller.customers:
            raise forbidden()

    def require_metrics(self, scope: Scope) -> None:
        """HTTPException 403 if the caller may not see metrics."""
        if not self.caller(scope).scope.sees_metrics():
            raise forbidden()


class OpenAccess(Access):
    """Everyone may ask for everything."""

    def caller(self, scope: Scope) -> Caller:
        return EVERYONE

    def current(self, scope: Scope) -> Caller | None:
        return EVERYONE

    def sees_everything(self, scope: Scope) -> bool:
        return True


class KeyAccess(Access):
    """Who has a key may ask for what it shows."""

    def __init__(self, keys: PrivateFile[Keys], sessions: Sessions, limits: Limits, proxy: Proxy | None = None) -> None:
        self._keys = keys
        self.sessions = sessions
        self.limits = limits
        self._proxy = proxy

    def caller(self, scope: Scope) -> Caller:
        # The middleware put it there. Without it the request fails.
        caller: Caller = scope["state"]["caller"]
        return caller

    def current(self, scope: Scope) -> Caller | None:
        if self._proxy is not None and (named := self._proxy.caller(scope)) is not None:
            return named
        authorization: list[bytes] = []
        cookies = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization.append(value)
            elif name == b"cookie":
                cookies = cookies + b"; " + value if cookies else value
        if authorization and (secret := bearer_key(authorization[0])) is not None:
            # Of two headers nobody knows which one counts.
            key = self._keys.content().by_secret(secret) if len(authorization) == 1 else None
            return Caller(key.id, key.scope) if key is not None else None
        if cookies and (cookie := cookie_of(scope, cookies)) is not None:
            key_id = self.sessions.key_id(cookie, link_of(scope))
            key = self._keys.content().by_id(key_id) if key_id is not None else None
            return Caller(key.id, key.scope, has_session=True) if key is not None else None
        return None

    def sees_everything(self, scope: Scope) -> bool:
        # Routes that are open to everyone have no caller.
        caller: Caller | None = scope["state"].get("caller")
        return caller is not None and caller.scope.sees(None)

    def end_session(self, scope: Scope) -> None:
        cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
        if (cookie := cookie_of(scope, cookies)) is not None:
            self.sessions.end(cookie, link_of(scope))

    def key(self, secret: bytes) -> Key | None:
        return self._keys.content().by_secret(secret)


def forbidden() -> HTTPException:
    """The error of a caller who may not see what was asked for."""
    return HTTPException(403, "This key may not see this")
