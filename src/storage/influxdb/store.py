"""The InfluxDB backend: requests in one bucket, rows and leases in another one beside it.

Compaction removes the points with lower fencing tokens little by little. A point whose token the store does not have
was written after the store was emptied, or put back to an older state, under a running processor. The next start
removes such points.
"""

import secrets
import sys

from storage import schema_4
from storage.contract import Storage
from storage.influxdb import migration
from storage.influxdb.counts import InfluxCounts
from storage.influxdb.ledger import InfluxLedger
from storage.influxdb.line_protocol import AFTER_ALL_LINES, string_field
from storage.influxdb.places import Places
from storage.influxdb.requests import InfluxRequests
from storage.influxdb.schema import SCHEMA, STORE
from storage.writers import MAIN

# Bytes of the key of the hash that customers are found by.
_SECRET_BYTES = 16


class InfluxStorage(InfluxRequests, InfluxCounts, InfluxLedger, Storage):
    """A connection, as one writer or as a reader, to a server's buckets of requests and of counts.

    `token`: an API token that reads the buckets and, for a writer, writes them. `timeout`: seconds that a response may
    take.
    """

    # One request in flight leaves a third of the server's throughput unused, two leave a twentieth.
    SENDERS = 3
    LINES_HELD = BYTES_HELD = sys.maxsize
    READS_BY_TIME = True

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float = 10.0, writer: str = MAIN) -> None:
        super().__init__(url, org, bucket, token, timeout, writer, self.SENDERS)

    def set_up(self, oldest_day: int = 0) -> None:
        """Store the schema's number and the key of the hash that customers are found by. Bring up a store of schema 4,
        without days before `oldest_day` (since 1970-01-01): InfluxDB takes no points that have expired.

        The buckets are there: `python -m storage setup` makes them first, with a token that the services do not have.
        """
        is_of_before = migration.has_rows(self._client, self._bucket)
        if not self._client.ask(self._counts, STORE, {}):
            secret = string_field(secrets.token_hex(_SECRET_BYTES))
            schema = schema_4.VERSION if is_of_before else SCHEMA
            self._write_store(f"schema={schema}i,secret={secret}")
        (row,) = self._client.ask(self._counts, STORE, {})
        if row["schema"] == schema_4.VERSION:
            places = Places(MAIN, bytes.fromhex(row["secret"]))
            migration.copy_rows(self._client, self._bucket, self._counts, places, oldest_day)
            self._write_store(f"schema={SCHEMA}i")
        # This refuses every other schema.
        self._places()
        if is_of_before:
            migration.remove_rows(self._client, self._bucket)

    def _write_store(self, fields: str) -> None:
        self._client.write(self._counts, f"store {fields} {AFTER_ALL_LINES}".encode())

    def acquire(self) -> int:
        self._places()
        self._lease.wait_until_free()
        self._look_at_earlier_rows()
        return self._lease.acquire()

    def check_lease(self) -> None:
        self._lease.check()

    def close(self) -> None:
        try:
            self._lease.release()
        finally:
            self._close_connection()

    def abandon(self) -> None:
        self._lease.stop_heartbeats()
        self._close_connection()

    def _close_connection(self) -> None:
        self._senders.shutdown()
        self._client.close()

    def remove_expired(self, oldest_day: int, oldest_counted_day: int) -> None:
        """The buckets' retention does this."""
