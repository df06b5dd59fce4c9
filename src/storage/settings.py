"""Which store, and how to reach it."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from service.logs import Level, LineFormat
from service.settings import ProjectPath, Settings


class StoreLocation(Settings):
    """Which store, and where."""

    storage: Literal["influxdb", "sqlite"] = "sqlite"
    sqlite_path: ProjectPath = Field(default=Path("data/requests.sqlite"), validate_default=True)
    influxdb_url: str = Field(default="http://127.0.0.1:8086", pattern=r"^https?://[^/]+/?$")
    influxdb_org: str = Field(default="acme", min_length=1)
    influxdb_bucket: str = Field(default="api_requests", min_length=1)
    retention_days: int = Field(default=45, ge=1, le=3650)
    """Whole UTC days before today for which requests and counts are kept."""


class StorageSettings(StoreLocation):
    """Settings of every service that uses the store."""

    influxdb_token_file: ProjectPath | None = None
    """The file that holds the API token of InfluxDB. It is read at the start."""
    influxdb_timeout_seconds: float = Field(default=10.0, ge=0.1, le=600.0)
    """Seconds that a response may take. A server that takes longer for each write is never written to."""
    influxdb_token: str = Field(default="", validate_default=True, repr=False)
    """The API token of InfluxDB, where there is no file."""

    @field_validator("influxdb_token")
    @classmethod
    def _token_from_file(cls, token: str, info: ValidationInfo) -> str:
        path: Path | None = info.data.get("influxdb_token_file")
        if path is not None and not token:
            try:
                token = path.read_text().strip()
            except OSError as error:
                raise ValueError(f"INFLUXDB_TOKEN_FILE={path} cannot be read: {error.strerror}") from None
        if info.data.get("storage") == "influxdb" and not token:
            raise ValueError("STORAGE=influxdb needs INFLUXDB_TOKEN or INFLUXDB_TOKEN_FILE")
        return token


class CommandSettings(StoreLocation):
    """Settings of `python -m storage`."""

    logging_level: Level = "INFO"
    logging_format: LineFormat = "logfmt"


class BackupSettings(CommandSettings):
    """Settings of `python -m storage backup` and `restore`."""

    @field_validator("storage")
    @classmethod
    def _is_a_file(cls, storage: str) -> str:
        if storage != "sqlite":
            raise ValueError("only a SQLite store is copied by this command: InfluxDB has `influx backup`")
        return storage


class SetupSettings(CommandSettings):
    """Settings of `python -m storage setup`."""

    docker_influxdb_init_admin_token: str = Field(default="", validate_default=True, repr=False)
    """The API token that the InfluxDB image gives its first user, who may do everything."""
    tokens_path: ProjectPath = Field(default=Path("secrets"), validate_default=True)
    """The folder for the services' tokens, each in a folder of its own: log_processor/token and api/token."""

    @field_validator("docker_influxdb_init_admin_token")
    @classmethod
    def _needed_for_influxdb(cls, token: str, info: ValidationInfo) -> str:
        if info.data.get("storage") == "influxdb" and not token:
            raise ValueError("STORAGE=influxdb needs the admin token to set it up")
        return token
