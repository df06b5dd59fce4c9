"""A connection to the two buckets: questions, deletes, and the check of the schema."""

from collections.abc import Sequence
from typing import Any

from storage import schema_4
from storage.errors import StorageRefused
from storage.influxdb.client import Client, Row
from storage.influxdb.lease import Lease
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, tag
from storage.influxdb.places import Places, predicate
from storage.influxdb.schema import COUNTS, SCHEMA, STORE

# The condition for a range of time, with the parameters of `time_range`.
IN_RANGE = "time >= $start AND time < $end"
# The condition for rows that are of no day: without it InfluxDB reads the files of all days.
AFTER = f"time >= {AFTER_ALL_LINES}"


class InfluxConnection:
    """A connection, as one writer or as a reader, to the bucket of requests and the bucket of counts."""

    def __init__(self, url: str, org: str, bucket: str, token: str, timeout: float, writer: str) -> None:
        self._bucket = bucket
        self._counts = f"{bucket}{COUNTS}"
        self._writer = writer
        self._client = Client(url, org, token, timeout)
        self._lease = Lease(self._client, self._counts, writer)
        self._known_places: Places | None = None

    def _ask(self, query: str, **parameters: Any) -> list[Row]:
        """The answer to a question about this writer's rows."""
        return self._client.ask(self._counts, query, {"writer": tag(self._writer), **parameters})

    async def _ask_async(self, query: str, **parameters: Any) -> list[Row]:
        return await self._client.ask_async(self._counts, query, parameters)

    def _delete(self, series: str, first: int, last: int) -> None:
        self._client.delete(self._counts, predicate(series), first, last)

    def _places(self) -> Places:
        if self._known_places is None:
            self._known_places = self._places_of(self._client.ask(self._counts, STORE, {}))
        return self._known_places

    def _places_of(self, rows: Sequence[Row]) -> Places:
        schema = rows[0]["schema"] if rows else "none"
        if schema != SCHEMA:
            what_to_do = (
                "`python -m storage setup` brings it up to that."
                if schema in ("none", schema_4.VERSION)
                else "use the release that made it."
            )
            raise StorageRefused(
                f"The bucket {self._counts} has schema {schema}, and this program's is {SCHEMA}: {what_to_do}"
            )
        return Places(self._writer, bytes.fromhex(rows[0]["secret"]))

    async def _customer_tag(self, customer: str) -> str:
        if self._known_places is None:
            self._known_places = self._places_of(await self._ask_async(STORE))
        return self._known_places.customer_tag(customer)

    async def ping(self) -> None:
        await self._ask_async("SELECT token FROM tokens LIMIT 1")

    async def aclose(self) -> None:
        await self._client.aclose()


def time_range(first: int, last: int) -> dict[str, int]:
    """The parameters of `IN_RANGE`: days since 1970-01-01, inclusive."""
    return {"start": first * DAY, "end": (last + 1) * DAY}
