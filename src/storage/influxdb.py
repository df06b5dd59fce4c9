"""InfluxDB 2: writes through influxdb-client, questions in InfluxQL over HTTP.

InfluxDB keeps the last write of a point. A write whose outcome is unknown (a time-out, a killed process) may land late
and put an old row of counts over a new one. So every row of counts and of the ledger is written at a slot, some
nanoseconds after its time, and the highest slot counts. The processor takes the next slot, for all that it writes from
there, when it begins and after each write that failed; it claims the slot in the store before it uses it.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

import httpx
import urllib3
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from request_log.line import SECONDS_A_DAY, Reason
from storage.contract import LedgerRow, Storage, StorageError, StorageRefused, StorageUnavailable, StoredRequests
from storage.counts import CountsKey, DayCounts, Position, decode_counter, encode_counter
from storage.line_protocol import request_lines, string_field, tag

_NANOSECONDS = 10**9
_DAY = SECONDS_A_DAY * _NANOSECONDS
# Lines are of 1970 to 2199, and what lies in the future does not expire: the ledger lives after all of them.
_AFTER_ALL_LINES = 7_258_118_400 * _NANOSECONDS  # 2200-01-01
_TIMEOUT_SECONDS = 10.0
_LINES_A_WRITE = 1_000
_KEYS_A_QUESTION = 200
_COUNTS = "statuses, latencies, applied"
_LEDGER = "SELECT * FROM ledger"
_IN_RANGE = "time >= $start AND time < $end"
_REFUSALS = {400, 401, 403, 404, 413, 422}

_Query = tuple[str, dict[str, Any]]
_Row = dict[str, Any]


class InfluxStorage(Storage):
    """A connection to a bucket. `url` is the server's, `token` reads the bucket and, for a writer, writes it."""

    # One request in flight leaves a third of the server's speed unused.
    SENDERS = 2

    def __init__(self, url: str, org: str, bucket: str, token: str) -> None:
        self._bucket = bucket
        self._slot: int | None = None
        http: dict[str, Any] = {
            "base_url": url,
            "headers": {"Authorization": f"Token {token}"},
            "timeout": _TIMEOUT_SECONDS,
        }
        self._questions = httpx.Client(**http)
        self._async_questions = httpx.AsyncClient(**http)
        self._client = InfluxDBClient(url, token, org=org, timeout=int(_TIMEOUT_SECONDS * 1000), retries=False)
        self._writes = self._client.write_api(write_options=SYNCHRONOUS)

    # Writing

    def set_up(self) -> None:
        """The bucket is made by `python -m storage setup`, with a token that the services do not have."""

    def begin(self) -> list[LedgerRow]:
        self._claim_slot()
        return _latest_ledger(self._ask(_LEDGER, {}))

    def store_requests(self, batch: StoredRequests) -> None:
        self._write([request_lines(batch)])

    def read_counts(self, keys: Collection[CountsKey]) -> dict[CountsKey, DayCounts]:
        found: dict[CountsKey, DayCounts] = {}
        by_day: dict[int, list[str]] = {}
        for customer, day in keys:
            if customer is not None:
                by_day.setdefault(day, []).append(tag(customer))
            else:
                rows = self._ask(f"SELECT {_COUNTS} FROM all_day WHERE {_IN_RANGE}", _range(day, day))
                found.update(((None, day), _counts(row)) for row in rows)
        for day, tags in by_day.items():
            for first in range(0, len(tags), _KEYS_A_QUESTION):
                named = {f"c{i}": name for i, name in enumerate(tags[first : first + _KEYS_A_QUESTION])}
                one_of_them = " OR ".join(f"customer = ${name}" for name in named)
                rows = self._ask(
                    f"SELECT {_COUNTS} FROM customer_day WHERE ({one_of_them}) AND {_IN_RANGE} GROUP BY customer",
                    {**_range(day, day), **named},
                )
                # In the order of time: the highest slot of a customer is the last.
                found.update(((unquote(row["customer"]), day), _counts(row)) for row in rows)
        return found

    def commit(self, counts: Mapping[CountsKey, DayCounts], ledger: Sequence[LedgerRow]) -> None:
        slot = self._slot if self._slot is not None else self._claim_slot()
        # Unless everything below succeeds, its outcome is unknown, and what follows takes another slot.
        self._slot = None
        self._write([counts_line(key, row, slot) for key, row in counts.items()])
        self._write([ledger_line(row, slot) for row in ledger])
        self._slot = slot

    def remove_expired(self, oldest_day: int) -> None:
        """InfluxDB does it by itself: the bucket's retention."""

    def close(self) -> None:
        self._questions.close()
        self._client.close()

    def _claim_slot(self) -> int:
        """Take the next slot, durably before it is used."""
        rows = self._ask("SELECT slot FROM slots ORDER BY time DESC LIMIT 1", {})
        slot = int(rows[0]["slot"]) + 1 if rows else 1
        self._write([slot_line(slot)])
        self._slot = slot
        return slot

    def _write(self, lines: Sequence[bytes]) -> None:
        """Write lines, in requests of a bounded size."""
        for first in range(0, len(lines), _LINES_A_WRITE):
            with _errors():
                self._writes.write(self._bucket, record=b"\n".join(lines[first : first + _LINES_A_WRITE]))

    def _ask(self, query: str, parameters: Mapping[str, Any]) -> list[_Row]:
        with _errors():
            return _rows(self._questions.get("/query", params=self._question(query, parameters)))

    # Asking

    async def ping(self) -> None:
        await self._ask_async("SELECT slot FROM slots LIMIT 1", {})

    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
        if customer is None:
            rows = await self._ask_async(
                f"SELECT statuses, latencies FROM all_day WHERE {_IN_RANGE}", _range(first, last)
            )
        else:
            query = f"SELECT statuses, latencies FROM customer_day WHERE customer = $customer AND {_IN_RANGE}"
            rows = await self._ask_async(query, {**_range(first, last), "customer": tag(customer)})
        return {row["time"] // _DAY: _counts(row) for row in rows}

    async def knows(self, customer: str) -> bool:
        query = "SELECT statuses FROM customer_day WHERE customer = $customer LIMIT 1"
        return bool(await self._ask_async(query, {"customer": tag(customer)}))

    async def customers(self, first: int, last: int) -> dict[str, DayCounts]:
        latest: dict[tuple[str, int], _Row] = {}
        query = f"SELECT statuses, latencies FROM customer_day WHERE {_IN_RANGE} GROUP BY customer"
        for row in await self._ask_async(query, _range(first, last)):
            latest[row["customer"], row["time"] // _DAY] = row
        totals: dict[str, DayCounts] = {}
        for (customer, _), row in latest.items():
            totals.setdefault(unquote(customer), DayCounts()).add(_counts(row))
        return totals

    async def ledger(self) -> list[LedgerRow]:
        return _latest_ledger(await self._ask_async(_LEDGER, {}))

    async def aclose(self) -> None:
        await self._async_questions.aclose()

    async def _ask_async(self, query: str, parameters: Mapping[str, Any]) -> list[_Row]:
        with _errors():
            return _rows(await self._async_questions.get("/query", params=self._question(query, parameters)))

    def _question(self, query: str, parameters: Mapping[str, Any]) -> dict[str, str]:
        return {"db": self._bucket, "epoch": "ns", "q": query, "params": json.dumps(parameters)}


def counts_line(key: CountsKey, counts: DayCounts, slot: int) -> bytes:
    """The row of a customer's day, or of all customers' day."""
    customer, day = key
    series = "all_day" if customer is None else f"customer_day,customer={tag(customer)}"
    fields = (
        f"statuses={string_field(encode_counter(counts.statuses))}"
        f",latencies={string_field(encode_counter(counts.latencies))}"
        f",applied={string_field(json.dumps(counts.applied))}"
    )
    return f"{series} {fields} {day * _DAY + slot}".encode()


def ledger_line(row: LedgerRow, slot: int) -> bytes:
    """The ledger of one log."""
    return (
        f"ledger,log={tag(row.log)} generation={row.position.generation}i,offset={row.position.offset}i"
        f",fingerprint={string_field(row.fingerprint)},read={row.read}i,stored={row.stored}i"
        f",rejected={string_field(json.dumps(row.rejected))},newest={row.newest}i {_AFTER_ALL_LINES + slot}"
    ).encode()


def slot_line(slot: int) -> bytes:
    """The claim to a slot. A point a slot, so that no late write can take a claim back."""
    return f"slots slot={slot}i {_AFTER_ALL_LINES + slot}".encode()


def _range(first: int, last: int) -> dict[str, int]:
    """The parameters of `_IN_RANGE`: days since 1970-01-01, inclusive."""
    return {"start": first * _DAY, "end": (last + 1) * _DAY}


def _counts(row: _Row) -> DayCounts:
    applied = {log: Position(*position) for log, position in json.loads(row.get("applied", "{}")).items()}
    return DayCounts(decode_counter(row["statuses"]), decode_counter(row["latencies"]), applied)


def _latest_ledger(rows: list[_Row]) -> list[LedgerRow]:
    """The rows at the highest slot of each log; `rows` come in the order of time."""
    latest = {row["log"]: row for row in rows}
    return [
        LedgerRow(
            log=unquote(row["log"]),
            position=Position(row["generation"], row["offset"]),
            fingerprint=row["fingerprint"],
            read=row["read"],
            stored=row["stored"],
            rejected={Reason(reason): lines for reason, lines in json.loads(row["rejected"]).items()},
            newest=row["newest"],
        )
        for _, row in sorted(latest.items())
    ]


def _rows(response: httpx.Response) -> list[_Row]:
    """The rows of an InfluxQL answer, tags of GROUP BY included."""
    if response.status_code != httpx.codes.OK:
        raise _error(response.status_code, response.text)
    result = response.json()["results"][0]
    if "error" in result:
        raise StorageRefused(f"InfluxDB does not answer this question: {result['error']}")
    return [
        dict(zip(series["columns"], values, strict=True), **series.get("tags", {}))
        for series in result.get("series", [])
        for values in series["values"]
    ]


@contextmanager
def _errors() -> Iterator[None]:
    """Say what went wrong in the contract's words."""
    try:
        yield
    except ApiException as error:
        raise _error(error.status, error.body or error.reason) from error
    except (httpx.TransportError, urllib3.exceptions.HTTPError, OSError) as error:
        # A time-out has no text.
        raise StorageUnavailable(f"InfluxDB cannot be reached: {str(error) or type(error).__name__}") from error


def _error(status: int | None, answer: str | None) -> StorageError:
    text = " ".join((answer or "").split())[:500]
    if status in _REFUSALS:
        hint = " (is the token right?)" if status in (401, 403) else ""
        return StorageRefused(f"InfluxDB refuses with status {status}{hint}: {text}")
    return StorageUnavailable(f"InfluxDB answers with status {status}: {text}")
