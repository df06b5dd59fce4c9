"""Who is asking."""

from dataclasses import dataclass

from service.access.scopes import OPERATOR, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    name: str
    """For log lines and limits: the id of the key, or the user that a proxy names. Empty where nobody is asked."""
    scope: Scope
    has_session: bool = False
    """Whether a cookie names the key, so that the page can end the session."""


EVERYONE = Caller("", OPERATOR)
"""The caller of each request where nobody is asked for a key."""
