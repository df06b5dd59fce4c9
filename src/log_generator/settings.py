"""What is written, where and how fast."""

from pathlib import Path

from pydantic import Field

from service.logs import Level, LineFormat
from service.settings import LogPath, Settings


class GeneratorSettings(Settings):
    """Settings of log_generator."""

    log_file_path: LogPath = Field(default=Path("src/log_generator/api_requests.log"), validate_default=True)
    log_batch_size: int = Field(default=10, ge=1)
    """Lines in each interval."""
    log_interval_seconds: float = Field(default=1.0, gt=0, le=86_400)
    max_logs_to_generate: int = Field(default=0, ge=0)
    """Lines after which it ends; 0: never."""
    log_customers: int = Field(default=20, ge=1, le=1_000_000)
    log_history_days: int = Field(default=0, ge=0, le=3650)
    """Over how many days back from now the times are spread; 0: times are now."""
    log_seed: int | None = None
    """The same seed gives the same customers, paths, statuses and durations; None: others each time."""
    logging_level: Level = "INFO"
    logging_format: LineFormat = "logfmt"
