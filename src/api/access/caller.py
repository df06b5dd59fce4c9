"""Who is asking."""

from typing import NamedTuple

from starlette.datastructures import Address

from service.access.scopes import OPERATOR, Scope


class Caller(NamedTuple):
    name: str
    """For log lines and limits: the id of the key, or the user that a proxy names. Empty where nobody is asked."""
    scope: Scope
    has_session: bool = False
    """Whether a cookie names the key, so that the page can end the session."""

    def name_or_address(self, client: Address | None) -> str:
        """What tells callers apart. `client`: where the connection is from."""
        return self.name or (client.host if client is not None else "")


EVERYONE = Caller("", OPERATOR)
"""The caller of each request where nobody is asked for a key."""
