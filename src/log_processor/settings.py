"""Settings of the log processor."""

import glob
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from log_processor.heartbeat import HeartbeatSettings, of_writer
from log_processor.librdkafka import read_settings
from log_processor.log_format import WITH_COLUMNS, LogFormat
from log_processor.path_templates import read_templates
from rollups.rules import DEFAULT_PATHS, Rules
from service.access.settings import AccessSettings, require_auth
from service.logs import Level, LineFormat
from service.settings import (
    PROJECT_ROOT,
    LogPath,
    OutputFolder,
    OutputPath,
    ProjectPath,
    can_be_a_log,
    comma_separated,
)
from storage.kept import KeptRequests
from storage.settings import StorageSettings


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
        if not folder.is_dir():
            raise ValueError(f"there is no folder {folder}")
    return text


def _templates(text: str) -> str:
    """Check the file of own templates, and return the text."""
    if text:
        read_templates(PROJECT_ROOT / text)
    return text


def _split(text: str) -> list[Path]:
    return [PROJECT_ROOT / path for path in comma_separated(text)]


class ProcessorSettings(StorageSettings, LogFormat, HeartbeatSettings, AccessSettings):
    """Settings of the log processor. Each is a variable of the environment, named in capital letters."""

    log_file_path: LogPath = Field(default=Path("src/log_generator/api_requests.log"), validate_default=True)
    """The log. One outside the project is only followed, with `./start.sh --no-generator`."""
    log_name: str = Field(default="api_requests", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """The name in the store of the log at LOG_FILE_PATH; another log is named by its path. Under another name the same
    lines are other requests."""
    log_files: Annotated[str, AfterValidator(_patterns)] = ""
    """Paths and globs of the logs to follow, separated by commas; empty: LOG_FILE_PATH. In containers all of them are
    in its folder."""
    log_roots: Annotated[str, AfterValidator(_folders)] = ""
    """Folders, separated by commas. A file that a glob or a rotated name finds is read only where it lies, links
    followed, below the folder of its pattern or below one of these."""
    source: Literal["files", "kafka"] = "files"
    """Where lines come from: files of this host, or the partitions of a Kafka topic, each with a writer of its own."""
    kafka_bootstrap_servers: str = Field(default="", validate_default=True)
    """Brokers of SOURCE=kafka, as `host:port`, separated by commas. One of them is enough to find the others."""
    kafka_topic: str = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,200}$", validate_default=True)
    """The topic of SOURCE=kafka. A record is a line, or several lines."""
    kafka_group: str = Field(default="request_statistics", min_length=1)
    """The consumer group, which divides the partitions among the processors of a store."""
    kafka_member: str = ""
    """The member with the line, where records are JSON objects, as Vector, Fluent Bit and Filebeat write them:
    `message` or `log`. Empty: a record is nothing but lines."""
    kafka_settings_file: ProjectPath | None = None
    """A file with settings of librdkafka, for TLS and SASL for instance: a line `name=value` each. Those that decide
    what is counted are refused."""
    start_position: Literal["end", "beginning"] = "end"
    """Where the processor begins in a log that the store has never seen."""
    follow: Literal["events", "poll"] = "events"
    """How the processor notices that a log has grown. Network file systems send no events."""
    poll_interval_ms: int = Field(default=1, ge=1, le=60_000)
    """Milliseconds between two looks at the logs where there are no events; at rest up to 2 ms."""
    stream_max_size: int = Field(default=20_000, ge=1, le=100_000)
    """Lines that make a batch, which is stored then."""
    store_requests: KeptRequests = "all"
    """Which requests are stored beside their counts: all, failed ones, or none. `/requests` has stored ones alone."""
    new_customers_a_day: int = Field(default=20_000, ge=1, le=100_000_000)
    """New customers of a UTC day that are told apart. Requests of more of them are counted under the customer
    `(other)`."""
    paths_a_customer: int = Field(default=DEFAULT_PATHS, ge=1, le=1_000)
    """Paths of a customer, and of all together, that are told apart on a UTC day. Requests to more of them are counted
    under the path `(other)`."""
    path_templates: Annotated[str, AfterValidator(_templates)] = ""
    """A file of own templates of paths, one a line, as `/orders/{id}`. They are always told apart, and hold for lines
    that are read from then on. In containers it is in the folder `data`."""
    stream_max_wait_time_in_seconds: float = Field(default=1.0, ge=0.0, le=3_600.0)
    """How long the first line of a smaller batch waits before the batch is stored."""
    workers: int = Field(default=4, ge=1, le=64)
    """Bytewax's workers, threads of the processor. Also a build argument of the image."""
    dead_letters_path: OutputPath = Field(default=Path("data/dead_letters.jsonl"), validate_default=True)
    """The file of the rejected lines, with position and reason. WRITER is in its name as in that of HEARTBEAT_PATH."""
    dead_letters_max_bytes: int = Field(default=16_777_216, ge=1_024)
    """Bytes at which the file of the dead letters is rotated; five are kept."""
    dead_letters_keep: Literal["all", "head", "none"] = "all"
    """What dead letters and the processor's log lines have of a rejected line: all, its first 100 bytes, or nothing."""
    dead_letters_days: int = Field(default=45, ge=1, le=3650)
    """Whole UTC days before today whose dead letters are kept."""
    backfill_folder: OutputFolder = Field(default=Path("data/backfill"), validate_default=True)
    """The folder where old logs wait that `backfill` hands to the processor. WRITER is in its name as in that of
    HEARTBEAT_PATH."""
    metrics_port: int = Field(default=0, ge=0, le=65535)
    """The port of the processor's metrics; 0: none. The api has its own at /metrics."""
    metrics_host: str = Field(default="127.0.0.1", min_length=1)
    """The address of the processor's metrics. AUTH holds there as for the api's."""
    logging_level: Level = "INFO"
    """The least severe log lines that a service writes."""
    logging_format: LineFormat = "logfmt"
    """The form of the services' own log lines."""

    @field_validator("dead_letters_path", "backfill_folder")
    @classmethod
    def _of_writer(cls, path: Path, info: ValidationInfo) -> Path:
        return of_writer(path, info)

    @field_validator("source")
    @classmethod
    def _has_lines_that_stand_alone(cls, source: str, info: ValidationInfo) -> str:
        if source == "kafka" and (name := info.data.get("log_format")) in WITH_COLUMNS:
            raise ValueError(f"not with LOG_FORMAT={name}: the records of a topic come in no order")
        if source == "kafka" and (name := info.data.get("log_wrapper")):
            raise ValueError(f"not with LOG_WRAPPER={name}: whoever writes to the topic unwraps the lines")
        return source

    @field_validator("kafka_bootstrap_servers", "kafka_topic")
    @classmethod
    def _is_given(cls, text: str, info: ValidationInfo) -> str:
        if info.data.get("source") == "kafka" and not text:
            raise ValueError("SOURCE=kafka needs it")
        return text

    @field_validator("kafka_settings_file")
    @classmethod
    def _has_settings(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                read_settings(path)
            except OSError as error:
                raise ValueError(f"cannot be read: {error.strerror}") from None
        return path

    @field_validator("metrics_host")
    @classmethod
    def _is_protected(cls, host: str, info: ValidationInfo) -> str:
        return require_auth(host, info) if info.data.get("metrics_port") else host

    def rules(self) -> Rules:
        """The rules of roll-ups."""
        templates = read_templates(PROJECT_ROOT / self.path_templates) if self.path_templates else ()
        return Rules(paths=self.paths_a_customer, templates=templates)

    def patterns(self) -> list[Path]:
        """The paths and globs to follow, absolute."""
        return _split(self.log_files) or [self.log_file_path]

    def named_logs(self) -> dict[Path, str]:
        """The names in the store of logs that have one of their own, by path."""
        return {self.log_file_path: self.log_name}

    def roots(self) -> list[Path]:
        """The folders of LOG_ROOTS, absolute."""
        return _split(self.log_roots)

    def outputs(self) -> list[Path]:
        """The files and folders that the processor writes."""
        return [self.dead_letters_path, self.heartbeat_path, self.sqlite_path, self.backfill_folder]
