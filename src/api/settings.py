"""The settings of the api."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from service.logs import Level, LineFormat
from service.settings import comma_separated
from storage.settings import StorageSettings

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")


def _origins(text: str) -> str:
    """Check each of the comma-separated origins."""
    for origin in comma_separated(text):
        if text.strip() != "*" and not _ORIGIN.fullmatch(origin):
            raise ValueError(f"{origin} is not an origin such as https://example.com:8443, and the setting is not *")
    return text


class ApiSettings(StorageSettings):
    """Where the api listens, which origins may ask it, and how it logs."""

    api_host: str = Field(default="127.0.0.1", min_length=1)
    """The address where the api listens."""
    api_port: int = Field(default=8000, ge=1, le=65535)
    """The port where the api listens; in containers the port on this machine."""
    cors_origins: Annotated[str, AfterValidator(_origins)] = ""
    """Origins whose pages may ask the api, such as `https://example.com`, separated by commas, or `*`. Empty: only its
    own."""
    logging_level: Level = "INFO"
    """The least severe log lines that a service writes."""
    logging_format: LineFormat = "logfmt"
    """The form of the services' own log lines."""

    def origins(self) -> list[str]:
        """The origins whose pages may ask."""
        return comma_separated(self.cors_origins)
