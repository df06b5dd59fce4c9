"""Owns the store on an InfluxDB 2 server: requests and rows as points, the leases, and the setup of the buckets.

Does not own what rows say: it knows nothing of logs and of counting.
"""

from storage.influxdb.store import InfluxStorage

__all__ = ["InfluxStorage"]
