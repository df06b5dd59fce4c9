"""Brings a store of schema 4 up to the present schema. Schema 4 has its rows and its lease in the bucket of requests:

    customer_day,customer=cust_1 row="<statuses> <latencies> <applied>" <the day's start + slot>
    all_day row="<statuses> <latencies> <applied>" <the day's start + slot>
    breakdowns,customers=7,kind=hours,segment=0 row="<names> <statuses> <latencies> <applied>" <the day's start + slot>
    ledger,log=api_requests row="..." <2200-01-01 + slot>
    ended_generations,log=api_requests row="<offset> <fingerprint>" <2200-01-01 + generation>
    sightings,log=api_requests row="..." <2200-01-01>
    slots slot=7i,holder="..." <2200-01-01 + slot>
    holder row="<a number that changes, or released> <host> <process> <start>" <2200-01-01>

Schema 4 called a fencing token a slot, and the owner of a lease its holder. Rows are copied before any is removed, and
a setup that is interrupted begins again. The requests stay where they are.
"""

import json
from collections.abc import Iterable, Iterator
from urllib.parse import unquote

from rollups.counts import DailyAggregate, DailyKey, RollupRow, RollupSegmentKey
from rollups.rows import encode_daily, encode_rollup
from service.logs import logger
from storage import schema_4
from storage.influxdb.client import Client, Row, latest
from storage.influxdb.lease import Lease
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, string_field
from storage.influxdb.places import Places, predicate, row_line
from storage.keys import Key
from storage.logs import Position
from storage.owner import LeaseOwner
from storage.writers import MAIN

log = logger(__name__)

_COUNTS = ("customer_day", "all_day", "breakdowns", "breakdown_day")
_OF_LOGS = ("commits", "ended_generations", "sightings", "ledger")
_END_OF_TIME = (1 << 63) - 2
"""The latest time of a point (Unix, ns)."""
_LAST_SLOT = (_END_OF_TIME - AFTER_ALL_LINES) // 1_000 * 1_000
"""A processor of schema 4 takes a slot in the thousand after that of the latest slot. After this slot there is none, so
InfluxDB refuses the processor's next slot, and the processor ends."""
_NO_LEDGER = f"ledger,log=none row={string_field('brought up')} {AFTER_ALL_LINES + _LAST_SLOT}"
"""A row that an api of schema 4 cannot read, so that it answers nothing. Else it would answer that there are no
requests."""
_BEFORE_LAST_SLOT = f"time < {AFTER_ALL_LINES + _LAST_SLOT}"
_RELEASED = "released "
# Limits of one write request: points and bytes.
_LINES_A_WRITE = 2_500
_BYTES_A_WRITE = 4 << 20


def has_rows(client: Client, bucket: str) -> bool:
    """Whether a processor of schema 4 has written to this bucket, and its rows are still there."""
    return bool(client.ask(bucket, "SELECT row FROM holder", {}))


def copy_rows(client: Client, bucket: str, counts: str, places: Places, oldest_day: int) -> None:
    """Copy the rows of days from `oldest_day` (since 1970-01-01) on to the bucket `counts`.

    From here on no processor of schema 4 can start.

    Raises StorageRefused where the last processor was not stopped cleanly, LeaseHeld where another setup is at work.
    """
    rows = _rows_of_logs(client, bucket)
    holder = string_field(str(LeaseOwner.this_process()))
    claim = f"slots slot={_LAST_SLOT}i,holder={holder} {AFTER_ALL_LINES + _LAST_SLOT}"
    client.write(bucket, claim.encode())
    lease = Lease(client, counts, MAIN)
    lease.wait_until_free()
    token = lease.acquire()
    days = sorted(day for day in _days(client, bucket) if day >= oldest_day)
    log.info("bringing_up", bucket=bucket, schema=schema_4.VERSION, days=len(days))
    try:
        for day in days:
            _write(client, counts, places, token, _rows_of_day(client, bucket, day))
        _write(client, counts, places, token, rows)
    finally:
        lease.release()


def remove_rows(client: Client, bucket: str) -> None:
    """Remove the rows that were copied."""
    for measurement in (*_COUNTS, *_OF_LOGS):
        client.delete(bucket, predicate(measurement), 0, _END_OF_TIME)
    client.delete(bucket, predicate("slots"), AFTER_ALL_LINES, AFTER_ALL_LINES + _LAST_SLOT - 1)
    client.write(bucket, _NO_LEDGER.encode())
    # Last, because this row says that there are rows of schema 4.
    client.delete(bucket, predicate("holder"), 0, _END_OF_TIME)


def _rows_of_logs(client: Client, bucket: str) -> list[tuple[Key, str]]:
    """What the store says of logs, as rows of the present schema."""
    (holder,) = client.ask(bucket, "SELECT row FROM holder", {})
    if not holder["row"].startswith(_RELEASED):
        raise schema_4.not_stopped(bucket, "its processor runs, or was killed")
    slots = client.ask(bucket, f"SELECT slot FROM slots WHERE {_BEFORE_LAST_SLOT}", {})
    latest_slot = max(row["slot"] for row in slots)
    written = client.ask(bucket, f"SELECT row FROM all_day, breakdown_day, ledger WHERE {_BEFORE_LAST_SLOT}", {})
    if any(row["time"] % DAY > latest_slot for row in written):
        raise schema_4.not_stopped(bucket, "it was emptied or put back under a running processor")
    ledgers = client.ask(bucket, f"SELECT row FROM ledger WHERE {_BEFORE_LAST_SLOT} GROUP BY log", {})
    by_log = {unquote(log): json.loads(row["row"]) for log, row in latest(ledgers, lambda row: str(row["log"])).items()}
    logs = [schema_4.decode_log(log, row) for log, row in by_log.items()]
    of_days = {row["time"] // DAY: row["row"] for row in client.ask(bucket, "SELECT row FROM all_day", {})}
    schema_4.check_stopped(
        bucket,
        logs,
        [row["pending"] for row in by_log.values()],
        # A commit of schema 4 wrote the row of all customers together first.
        (row.split(" ", 2)[2] for row in of_days.values()),
    )
    ended = client.ask(bucket, "SELECT row FROM ended_generations GROUP BY log", {})
    seen = client.ask(bucket, "SELECT row FROM sightings GROUP BY log", {})
    return schema_4.rows_of_logs(logs, map(_ended_file, ended), list(map(_seen, seen)))


def _seen(row: Row) -> schema_4.Seen:
    time, position, size, bytes_behind = json.loads(row["row"])
    return schema_4.Seen(unquote(row["log"]), time, Position(*position), size, bytes_behind)


def _ended_file(row: Row) -> schema_4.EndedFile:
    offset, _, fingerprint = row["row"].partition(" ")
    return schema_4.EndedFile(unquote(row["log"]), row["time"] - AFTER_ALL_LINES, int(offset), fingerprint)


def _days(client: Client, bucket: str) -> set[int]:
    """The days that have rows, since 1970-01-01."""
    return {row["time"] // DAY for row in client.ask(bucket, "SELECT row FROM all_day", {})}


def _rows_of_day(client: Client, bucket: str, day: int) -> Iterator[tuple[Key, str]]:
    for row in _latest(client, bucket, "all_day", day):
        yield DailyKey(None, day), _daily_row(row)
    for row in _latest(client, bucket, "customer_day", day):
        yield DailyKey(unquote(row["customer"]), day), _daily_row(row)
    for row in _latest(client, bucket, "breakdowns", day):
        names, statuses, latencies, _ = row["row"].split(" ", 3)
        key = RollupSegmentKey(
            int(row["customers"]), day, "endpoints" if row["kind"] == "paths" else "hours", int(row["segment"])
        )
        yield key, encode_rollup(RollupRow(key.kind, key.segment, names, statuses, latencies))


def _daily_row(row: Row) -> str:
    statuses, latencies, _ = row["row"].split(" ", 2)
    return encode_daily(DailyAggregate(statuses, latencies))


def _latest(client: Client, bucket: str, measurement: str, day: int) -> Iterator[Row]:
    """The latest row of each series of a measurement on a day."""
    query = f"SELECT row FROM {measurement} WHERE time >= $start AND time < $end GROUP BY *"
    for part in client.ask_in_parts(bucket, query, {"start": day * DAY, "end": (day + 1) * DAY}):
        by_tags = latest(part, lambda row: tuple(value for name, value in row.items() if name not in ("time", "row")))
        yield from by_tags.values()


def _write(client: Client, bucket: str, places: Places, token: int, rows: Iterable[tuple[Key, str]]) -> None:
    lines: list[bytes] = []
    size = 0
    for key, row in rows:
        lines.append(row_line(key, places.place(key), row, token))
        size += len(lines[-1])
        if len(lines) == _LINES_A_WRITE or size > _BYTES_A_WRITE:
            client.write_in_halves(bucket, lines)
            lines, size = [], 0
    client.write_in_halves(bucket, lines)
