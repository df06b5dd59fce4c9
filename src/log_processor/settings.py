"""Settings of the log processor."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from service.logs import Level
from service.settings import ProjectPath
from storage.settings import StorageSettings


class ProcessorSettings(StorageSettings):
    """What the processor reads from its environment."""

    log_file_path: ProjectPath = Field(default=Path("src/log_generator/api_requests.log"), validate_default=True)
    log_name: str = Field(default="api_requests", pattern=r"^[A-Za-z0-9._-]{1,100}$")
    """Names the log in the store. Under another name the same lines are other requests."""
    start_position: Literal["end", "beginning"] = "end"
    """Where to begin in a log that the store has never seen."""
    poll_interval_ms: int = Field(default=1, ge=1, le=60_000)
    stream_max_size: int = Field(default=5_000, ge=1, le=100_000)
    """Lines: so many make a batch."""
    stream_max_wait_time_in_seconds: float = Field(default=1.0, ge=0.0, le=3_600.0)
    """A batch is handed on when its first line has waited this long."""
    workers: int = Field(default=4, ge=1, le=64)
    """Bytewax workers: threads of this process."""
    heartbeat_path: ProjectPath = Field(default=Path(".run/log_processor.heartbeat"), validate_default=True)
    """The file whose time tells the health check that the processor moves on."""
    logging_level: Level = "INFO"
