"""Which store, and how to reach it."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from service.logs import LoggingSettings
from service.settings import ProjectPath, Settings, read_whole

_TOKEN = re.compile(r"[!-~]+")


class StoreLocation(Settings):
    """Which store, and where."""

    storage: Literal["influxdb", "sqlite"] = "sqlite"
    """The store. start.sh chooses: influxdb in containers, sqlite without. It counts for a service started by hand."""
    sqlite_path: ProjectPath = Field(default=Path("data/requests.sqlite"), validate_default=True)
    """The database of STORAGE=sqlite."""
    influxdb_url: str = Field(default="http://127.0.0.1:8086", pattern=r"^https?://[^/]+/?$")
    """The server of STORAGE=influxdb."""
    influxdb_org: str = Field(default="acme", min_length=1)
    """The organisation in InfluxDB."""
    influxdb_bucket: str = Field(default="api_requests", min_length=1)
    """The bucket of the requests. Setup makes one for the counts beside it, with `_counts` appended to its name."""
    retention_days: int = Field(default=45, ge=1, le=3650)
    """Whole UTC days before today whose requests are kept. Lines of earlier days are rejected. It must fit
    DOCKER_INFLUXDB_INIT_RETENTION."""
    counts_retention_days: int = Field(default=400, ge=1, le=3650)
    """Whole UTC days before today whose counts are kept, for months, quarters and comparisons. Where RETENTION_DAYS is
    more, that many."""

    @property
    def days_of_counts(self) -> int:
        """Whole UTC days before today whose counts are kept: never fewer than of requests."""
        return max(self.retention_days, self.counts_retention_days)


class StorageSettings(StoreLocation):
    """Settings of every service that uses the store."""

    influxdb_token_file: ProjectPath | None = None
    """The file with the service's token. It is read at the start."""
    influxdb_timeout_seconds: float = Field(default=10.0, ge=0.1, le=600.0)
    """How long InfluxDB may send nothing. A server that needs longer for each write never acknowledges any. A whole
    answer may take ten times as long."""
    influxdb_token: str = Field(default="", validate_default=True, repr=False)
    """The token itself, where INFLUXDB_TOKEN_FILE names no file."""

    @field_validator("influxdb_token")
    @classmethod
    def _token_from_file(cls, token: str, info: ValidationInfo) -> str:
        return _token(token, "influxdb_token_file", info, "needs INFLUXDB_TOKEN or INFLUXDB_TOKEN_FILE")


class CommandSettings(StoreLocation, LoggingSettings):
    """Settings of `python -m storage`."""


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

    docker_influxdb_init_admin_token_file: ProjectPath | None = None
    """The file with the admin token. Compose gives it to setup alone."""
    docker_influxdb_init_admin_token: str = Field(default="", validate_default=True, repr=False)
    """The token of the first user, who may do everything. Only setup uses it. In containers `start.sh` makes a random
    one in `secrets/influxdb_admin_token`, or writes this one there."""
    tokens_path: ProjectPath = Field(default=Path("secrets"), validate_default=True)
    """The folder where setup writes a token for each service: log_processor/token and api/token."""

    @field_validator("docker_influxdb_init_admin_token")
    @classmethod
    def _needed_for_influxdb(cls, token: str, info: ValidationInfo) -> str:
        return _token(token, "docker_influxdb_init_admin_token_file", info, "needs the admin token to set it up")


class AdminSettings(SetupSettings):
    """Settings of `python -m storage replace-admin`."""

    @field_validator("storage")
    @classmethod
    def _has_an_admin(cls, storage: str) -> str:
        if storage != "influxdb":
            raise ValueError("only InfluxDB has an admin")
        return storage


def _token(token: str, file_field: str, info: ValidationInfo, fault: str) -> str:
    """The token, or that in the file which another field names. Raises ValueError where the file cannot be read, or
    where STORAGE=influxdb has no token."""
    path: Path | None = info.data.get(file_field)
    where = ""
    if not token and path is not None:
        where = f"{file_field.upper()}={path}"
        try:
            token = read_whole(path).strip()
        except ValueError as error:
            raise ValueError(f"{where} {error}") from None
    if info.data.get("storage") == "influxdb" and not token:
        raise ValueError(f"STORAGE=influxdb {fault}")
    if token and not _TOKEN.fullmatch(token):
        allowed = "a token has printable ASCII characters alone, without spaces"
        raise ValueError(f"{where} has another text: {allowed}" if where else allowed)
    return token
