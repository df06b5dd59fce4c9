"""InfluxDB 2: requests and rows as points, and a lease for each writer. Knows nothing of logs and of counting."""

from storage.influxdb.store import InfluxStorage

__all__ = ["InfluxStorage"]
