"""Settings of processes that follow logs, and of Kafka's clients."""

import glob
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from log_processor.librdkafka import read_settings
from service.logs import LoggingSettings
from service.settings import PROJECT_ROOT, LogPath, ProjectPath, Settings, can_be_a_log, comma_separated
from storage.logs import BACKFILL


def _patterns(text: str) -> str:
    """Check each of the comma-separated paths and globs, and return the text."""
    patterns = _split(text)
    if text and not patterns:
        raise ValueError("names no path and no glob")
    for pattern in patterns:
        # The folder of a glob is the part before its first wildcard.
        while glob.has_magic(str(pattern.parent)):
            pattern = pattern.parent
        can_be_a_log(pattern)
    return text


def _folders(text: str) -> str:
    for folder in _split(text):
        # Path.is_dir raises where a folder above cannot be entered.
        if not os.path.isdir(folder):  # noqa: PTH112
            raise ValueError(f"there is no folder {folder}")
    return text


def _is_of_log(name: str) -> str:
    if name.startswith(BACKFILL):
        raise ValueError(f"begins with {BACKFILL}, as only the names of backfilled logs do")
    return name


LogName = Annotated[str, AfterValidator(_is_of_log)]
"""A name of logs that are followed."""


def _split(text: str) -> list[Path]:
    return [PROJECT_ROOT / path for path in comma_separated(text)]


class FollowSettings(LoggingSettings):
    """Which logs are followed, and how."""

    log_file_path: LogPath = Field(default=Path("src/log_generator/api_requests.log"), validate_default=True)
    """The log. One outside the project is only followed, with `./start.sh --no-generator`."""
    log_name: LogName = Field(default="api_requests", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """The name in the store of the log at LOG_FILE_PATH; another log is named by its path. Under another name the same
    lines are other requests."""
    log_files: Annotated[str, AfterValidator(_patterns)] = ""
    """Paths and globs of the logs to follow, separated by commas; empty: LOG_FILE_PATH. In containers all of them are
    in its folder."""
    log_roots: Annotated[str, AfterValidator(_folders)] = ""
    """Folders, separated by commas. A file that a glob or a rotated name finds is read only if it lies, links followed,
    below the folder of its pattern or below one of these."""
    start_position: Literal["end", "beginning"] = "end"
    """Where reading begins in a log that the store, or a shipper's topic, has never seen."""
    follow: Literal["events", "poll"] = "events"
    """How the processor notices that a log has grown. Network file systems send no events."""
    poll_interval_ms: int = Field(default=1, ge=1, le=60_000)
    """Milliseconds between two looks at the logs where there are no events; at rest up to 2 ms."""

    def patterns(self) -> list[Path]:
        """The paths and globs to follow, absolute."""
        return _split(self.log_files) or [self.log_file_path]

    def named_logs(self) -> dict[Path, str]:
        """The names in the store of logs that have one of their own, by path."""
        return {self.log_file_path: self.log_name}

    def roots(self) -> list[Path]:
        """The folders of LOG_ROOTS, absolute."""
        return _split(self.log_roots)


class ClientSettings(Settings):
    """Settings of a client of Kafka."""

    kafka_settings_file: ProjectPath | None = None
    """A file with settings of librdkafka, for TLS and SASL for instance: a line `name=value` each. Those that decide
    what is counted are refused."""

    @field_validator("kafka_settings_file")
    @classmethod
    def _has_settings(cls, path: Path | None) -> Path | None:
        if path is not None:
            read_settings(path)
        return path
