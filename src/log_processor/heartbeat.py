"""The heartbeat: a file that the processor touches once a second, and by which the health check knows that it works.

The health check runs every few seconds, so this imports nothing of the processor.
"""

import time
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from service.settings import OutputPath, Settings

LATE_SECONDS = 15.0
"""The health check fails when the heartbeat is older."""
_MAIN, _ARCHIVE = "main", "archive"
"""As in storage.writers."""


class HeartbeatSettings(Settings):
    """The settings of the health check."""

    writer: str = Field(default=_MAIN, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    """The name of the writer as which the processor fills the store. Each of several processors has another one."""
    heartbeat_path: OutputPath = Field(default=Path(".run/log_processor.heartbeat"), validate_default=True)
    """The file whose time tells the health check that the processor works. Where WRITER is not `main`, the file's name
    has the writer's before its ending."""

    @field_validator("writer")
    @classmethod
    def _is_a_processors(cls, writer: str) -> str:
        if writer == _ARCHIVE:
            raise ValueError("this writer has the rows of retired ones")
        return writer

    @field_validator("heartbeat_path")
    @classmethod
    def _heartbeat_of_writer(cls, path: Path, info: ValidationInfo) -> Path:
        return of_writer(path, info)


def of_writer(path: Path, info: ValidationInfo) -> Path:
    """The path of a file or folder that the writer has for itself: `dead_letters.jsonl` of the writer `web-1` is
    `dead_letters.web-1.jsonl`. Processors of one host so may share their other settings."""
    writer = info.data.get("writer", _MAIN)
    return path if writer == _MAIN else path.with_name(f"{path.stem}.{writer}{path.suffix}")


def is_alive(heartbeat: Path) -> bool:
    """Whether the heartbeat was touched in the last fifteen seconds: the processor runs, and the store answers it.

    A heartbeat in the future counts as late. Else a dead processor would pass for alive after the clock was set back.
    """
    try:
        return abs(time.time() - heartbeat.stat().st_mtime) < LATE_SECONDS
    except FileNotFoundError:
        return False
