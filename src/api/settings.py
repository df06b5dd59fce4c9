"""The settings of the api."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from service.access.settings import KeysLocation
from service.logs import Level, LineFormat
from service.settings import ProjectPath, comma_separated
from storage.settings import StorageSettings

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


def _origins(text: str) -> str:
    """Check each of the comma-separated origins."""
    for origin in comma_separated(text):
        if text.strip() != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is not an origin such as https://example.com:8443, and the setting is not *")
    return text


def _hosts(text: str) -> str:
    """Check each of the comma-separated hosts."""
    for host in comma_separated(text):
        if not _HOST.fullmatch(host):
            raise ValueError(f"{host} is not a host without a port, such as example.com, 192.0.2.7 or [2001:db8::7]")
    return text


class KeysSettings(KeysLocation):
    """What `python -m api keys` writes."""

    session_secret_file: ProjectPath = Field(default=Path("secrets/sessions/secrets"), validate_default=True)
    """The file with the secrets that sign the page's sessions, one a line: the first signs, a second one still counts.
    `python -m api keys add` makes it."""


class ApiSettings(StorageSettings):
    """Where the api listens, who may ask it, and how it logs."""

    api_host: str = Field(default="127.0.0.1", min_length=1)
    """The address where the api listens."""
    api_port: int = Field(default=8000, ge=1, le=65535)
    """The port where the api listens; in containers the port on this machine."""
    allowed_hosts: Annotated[str, AfterValidator(_hosts)] = ""
    """Hosts under which clients may ask the api, separated by commas, without a port: `example.com, 192.0.2.7`. Always
    allowed are `localhost`, `127.0.0.1`, `[::1]` and API_HOST. `/health` and `/ready` answer under any host."""
    cors_origins: Annotated[str, AfterValidator(_origins)] = ""
    """Origins whose pages may ask the api, such as `https://example.com`, separated by commas, or `*`. Empty: only its
    own."""
    logging_level: Level = "INFO"
    """The least severe log lines that a service writes."""
    logging_format: LineFormat = "logfmt"
    """The form of the services' own log lines."""

    def hosts(self) -> set[str]:
        """The hosts under which clients may ask, in lower case, IPv6 addresses in brackets."""
        own = f"[{self.api_host}]" if ":" in self.api_host else self.api_host
        return {host.lower() for host in ("localhost", "127.0.0.1", "[::1]", own, *comma_separated(self.allowed_hosts))}

    def origins(self) -> list[str]:
        """The origins whose pages may ask."""
        return comma_separated(self.cors_origins)
