"""The variables of the api."""

from pydantic import Field

from service.logs import Level
from storage.settings import StorageSettings


class ApiSettings(StorageSettings):
    """Where the api listens, and how much it logs."""

    api_host: str = Field(default="127.0.0.1", min_length=1)
    api_port: int = Field(default=8000, ge=1, le=65535)
    logging_level: Level = "INFO"
