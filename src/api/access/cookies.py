"""The cookies of sessions. The prefixes of their names have browsers refuse what another site of the domain sets."""

from functools import lru_cache

from starlette.types import Scope

from service.access.settings import names_this_machine

_NAME = "request_statistics_session"


def header(scope: Scope, name: bytes) -> bytes:
    """The first header with a name; empty if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return b""


def link_of(scope: Scope) -> str:
    """The id of the customer's link whose page asks; empty for other requests."""
    link: str = scope["state"].get("link", "")
    return link


def cookie_of(scope: Scope, cookies: bytes) -> str | None:
    """The session's cookie among all cookies of a request."""
    name = _name(link_of(scope), is_secure(scope))
    for cookie in cookies.decode("latin-1").split(";"):
        key, _, value = cookie.strip().partition("=")
        if key == name:
            return value
    return None


def set_cookie(scope: Scope, value: str, seconds: int) -> str:
    """The `Set-Cookie` of a session, for these seconds; 0 removes it."""
    link, secure = link_of(scope), is_secure(scope)
    path = f"/shared/{link}/" if link else "/"
    parts = [f"{_name(link, secure)}={value}", f"Path={path}", f"Max-Age={seconds}", "HttpOnly", "SameSite=Strict"]
    return "; ".join([*parts, *(["Secure"] if secure else [])])


def is_secure(scope: Scope) -> bool:
    """Whether cookies are for TLS alone: everywhere but on plain HTTP to this machine."""
    return not _is_of_this_machine(header(scope, b"host")) or header(scope, b"x-forwarded-proto") == b"https"


@lru_cache
def _is_of_this_machine(host: bytes) -> bool:
    return names_this_machine(host.decode("latin-1"))


def _name(link: str, secure: bool) -> str:
    if not secure:
        return _NAME
    # __Host- needs the path /.
    return f"__Secure-{_NAME}" if link else f"__Host-{_NAME}"
