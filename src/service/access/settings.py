"""Settings of the services that ask for keys."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo

from service.access.keys import Keys
from service.access.private_files import check_private
from service.logs import logger
from service.settings import ProjectPath, Settings

log = logger(__name__)

Auth = Literal["", "none", "keys", "proxy"]


class KeysLocation(Settings):
    """Where the keys are."""

    api_keys_file: ProjectPath = Field(default=Path("secrets/keys/keys.jsonl"), validate_default=True)
    """The file with the keys' hashes, which `python -m api keys` writes. It is read again when it changes."""


class AccessSettings(KeysLocation):
    """Whether a service asks for keys."""

    auth: Auth = ""
    """Who may ask: `none`: everyone; `keys`: who has a key; `proxy`: also whom a proxy names in a header. Empty:
    everyone on this machine, and a service that others can reach does not start."""

    @property
    def asks_for_keys(self) -> bool:
        """Whether who has neither a key nor a proxy before them may ask nothing."""
        return self.auth in ("keys", "proxy")


def require_keys(path: Path) -> None:
    """ValueError where the file of the keys cannot be used."""
    try:
        check_private(path, Keys.decode)
    except ValueError as error:
        message = f"API_KEYS_FILE={path}: {error}. To make a first key: python -m api keys add operator"
        raise ValueError(message) from None


def require_auth(host: str, info: ValidationInfo) -> str:
    """Validator of the address where a service listens: ValueError where others can reach it and AUTH is not set."""
    if info.data.get("auth") == "" and not is_loopback(host):
        raise ValueError(
            "other machines can reach it. Set AUTH=keys, see docs/access.md, or AUTH=none to show all to everyone"
        )
    return host


def warn_of_none(host: str) -> None:
    """Log that AUTH=none shows everything to whoever reaches the address."""
    log.warning("auth_none", host=host, reason="whoever reaches this address sees everything")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host: a name or an address."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def names_this_machine(host: str) -> bool:
    """Whether the `Host` of a request, perhaps with a port, is a name or an address of this machine alone."""
    name, colon, port = host.rpartition(":")
    return is_loopback((name if colon and port.isdigit() else host).strip("[]"))
