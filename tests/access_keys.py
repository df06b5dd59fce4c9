"""Keys for an api that asks for them."""

from datetime import datetime, timezone
from pathlib import Path

from api.access.access import KeyAccess
from api.access.limits import Limits
from api.access.sessions import Sessions
from service.access.keys import keys_file, new_key
from service.access.private_files import changing
from service.access.scopes import Scope

SECRET = "s" * 43
PLENTY = 1_000_000.0
"""Requests a second, where a test is not about limits."""


class TestKeys:
    """The files of keys and of sessions in a folder."""

    __test__ = False

    def __init__(self, folder: Path) -> None:
        self._keys = folder / "keys"
        self._secrets = folder / "session_secrets"
        self._keys.touch(mode=0o600)
        self.write_secrets(SECRET)
        self.environment = {
            "AUTH": "keys",
            "API_KEYS_FILE": str(self._keys),
            "SESSION_SECRET_FILE": str(self._secrets),
            "KEY_REQUESTS_PER_SECOND": f"{PLENTY:.0f}",
        }

    def write_secrets(self, *secrets: str) -> None:
        """Have these secrets sign sessions."""
        with changing(self._secrets) as lines:
            lines[:] = [secret.encode() for secret in secrets]

    def add(self, scope: str, expires: datetime | None = None) -> str:
        """The text of a new key."""
        text, key = new_key(Scope.parse(scope), datetime.now(timezone.utc), expires, "")
        with changing(self._keys) as lines:
            lines.append(key.encode().encode())
        return text

    def revoke(self, text: str) -> None:
        """Revoke a key."""
        key_id = text.split("_")[1].encode()
        with changing(self._keys) as lines:
            lines[:] = [line for line in lines if key_id not in line]

    def access(self) -> KeyAccess:
        """For an api inside the process of the test."""
        return KeyAccess(keys_file(self._keys), Sessions(self._secrets), Limits(PLENTY))


def bearer(key: str) -> dict[str, str]:
    """The header that has the key."""
    return {"Authorization": f"Bearer {key}"}
