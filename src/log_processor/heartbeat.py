"""The heartbeat: a file that the processor touches once a second, and by which the health check knows that it works.

The health check runs every few seconds, so this imports nothing of the processor.
"""

import time
from pathlib import Path

from pydantic import Field

from service.settings import OutputPath, Settings

LATE_SECONDS = 15.0
"""The health check fails when the heartbeat is older."""


class HeartbeatSettings(Settings):
    """The only setting of the health check."""

    heartbeat_path: OutputPath = Field(default=Path(".run/log_processor.heartbeat"), validate_default=True)
    """The file whose time tells the health check that the processor works."""


def is_alive(heartbeat: Path) -> bool:
    """Whether the heartbeat was touched in the last fifteen seconds: the processor runs, and the store answers it.

    A heartbeat in the future counts as late. Else a dead processor would pass for alive after the clock was set back.
    """
    try:
        return abs(time.time() - heartbeat.stat().st_mtime) < LATE_SECONDS
    except FileNotFoundError:
        return False
