"""Settings of the log shipper."""

from pathlib import Path

from pydantic import Field

from log_processor.follow_settings import ClientSettings, FollowSettings, LogName
from service.settings import OutputPath, Settings


class ShipperHeartbeat(Settings):
    """The settings of the health check."""

    shipper_heartbeat_path: OutputPath = Field(default=Path(".run/log_shipper.heartbeat"), validate_default=True)
    """The file whose time tells the health check that the shipper works, and that the broker answers."""


class ShipperSettings(FollowSettings, ClientSettings, ShipperHeartbeat):
    """Settings of the log shipper. Each is a variable of the environment, named in capital letters."""

    shipper: LogName = Field(default="", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", validate_default=True)
    """The name of the log shipper, for instance its host's. Its logs are called `SHIPPER:LOG` in the store. Shippers of
    a topic have different names, and keep them: under another name the same lines are other requests."""
    shipper_max_wait_seconds: float = Field(default=0.2, ge=0.0, le=3_600.0)
    """How long the first line of a chunk waits before the shipper sends the chunk."""
    kafka_bootstrap_servers: str = Field(default="", min_length=1, validate_default=True)
    """Brokers, as `host:port`, separated by commas. One of them is enough to find the others."""
    kafka_topic: LogName = Field(default="", pattern=r"^[A-Za-z0-9._-]{1,200}$", validate_default=True)
    """The topic."""
