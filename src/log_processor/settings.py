"""Settings of the log processor."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from log_processor.follow_settings import ClientSettings, FollowSettings, LogName
from log_processor.format_settings import WITH_COLUMNS, LogFormat
from log_processor.heartbeat import HeartbeatSettings, of_writer
from log_processor.path_templates import read_templates
from rollups.rules import DEFAULT_PATHS, Rules
from service.access.settings import AccessSettings, require_auth
from service.settings import PROJECT_ROOT, OutputFolder, OutputPath
from storage.kept import KeptRequests
from storage.settings import StorageSettings


def _templates(text: str) -> str:
    if text:
        read_templates(PROJECT_ROOT / text)
    return text


def _real(path: Path) -> Path:
    """A path without links; the path itself where a link may not be read, as those of other processes in /proc."""
    try:
        # Path.resolve raises RuntimeError where a link leads to itself.
        return Path(os.path.realpath(path))
    except OSError:
        return path


class ProcessorSettings(StorageSettings, LogFormat, HeartbeatSettings, AccessSettings, FollowSettings, ClientSettings):
    """Settings of the log processor. Each is a variable of the environment, named in capital letters."""

    source: Literal["files", "kafka"] = "files"
    """Where lines come from: files of this host, or the partitions of a Kafka topic, each with a writer of its own."""
    kafka_bootstrap_servers: str = Field(default="", validate_default=True)
    """Brokers of SOURCE=kafka and of shippers, as `host:port`, separated by commas. One of them is enough to find the
    others."""
    kafka_topic: LogName = Field(default="", pattern=r"^[A-Za-z0-9._-]{0,200}$", validate_default=True)
    """The topic of SOURCE=kafka and of shippers. A record is a line, or several lines."""
    kafka_group: str = Field(default="request_statistics", min_length=1)
    """The consumer group, which divides the partitions among the processors of a store."""
    kafka_member: str = Field(default="", pattern=r'^[^"\\\x00-\x1f]*$')
    """The member with the line, where records are JSON objects, as Vector, Fluent Bit and Filebeat write them:
    `message` or `log`. Empty: a record is nothing but lines."""
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

    @field_validator("metrics_host")
    @classmethod
    def _is_protected(cls, host: str, info: ValidationInfo) -> str:
        return require_auth(host, info) if info.data.get("metrics_port") else host

    @model_validator(mode="after")
    def _reads_nothing_that_it_writes(self) -> "ProcessorSettings":
        # Each rejected line would be written into the log, to be read and rejected again, for ever.
        written = {_real(output): name for name, output in self._named_outputs().items()}
        for path in self.patterns() if self.source == "files" else []:
            read = _real(path)
            if (of_output := next(filter(written.get, (read, *read.parents)), None)) is not None:
                raise ValueError(f"{written[of_output]}: {path} is to be followed, and the processor itself writes it")
        return self

    def rules(self) -> Rules:
        """The rules of roll-ups."""
        templates = read_templates(PROJECT_ROOT / self.path_templates) if self.path_templates else ()
        return Rules(paths=self.paths_a_customer, templates=templates)

    def outputs(self) -> list[Path]:
        """The files and folders that the processor writes."""
        return list(self._named_outputs().values())

    def _named_outputs(self) -> dict[str, Path]:
        """Variable and value -> the file or folder that it names."""
        names = ("dead_letters_path", "heartbeat_path", "sqlite_path", "backfill_folder")
        return {f"{name.upper()}={getattr(self, name)}": getattr(self, name) for name in names}
