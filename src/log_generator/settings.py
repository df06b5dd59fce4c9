"""What is written, where and how fast."""

from pathlib import Path

from pydantic import Field

from service.logs import LoggingSettings
from service.settings import LogPath


class GeneratorSettings(LoggingSettings):
    """Settings of log_generator."""

    log_file_path: LogPath = Field(default=Path("src/log_generator/api_requests.log"), validate_default=True)
    """The log. One outside the project is only followed, with `./start.sh --no-generator`."""
    log_batch_size: int = Field(default=10, ge=1)
    """Lines that the generator writes each interval."""
    log_interval_seconds: float = Field(default=1.0, gt=0, le=86_400)
    """The interval between two batches of lines."""
    max_logs_to_generate: int = Field(default=0, ge=0)
    """Lines after which the generator ends; 0: never."""
    log_customers: int = Field(default=20, ge=1, le=1_000_000)
    """How many customers the generated lines are of."""
    log_history_days: int = Field(default=0, ge=0, le=3650)
    """Days before now over which the lines' times are spread; 0: they are now."""
    log_seed: int | None = None
    """A seed that gives the same customers, paths, statuses and durations each time. Empty: others each time."""
