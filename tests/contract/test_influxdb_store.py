"""What only the InfluxDB store promises: compaction, fencing tokens."""

import time
from collections.abc import Callable
from unittest.mock import patch

import pytest

from influxd import InfluxServer
from rollups.counters import encode_counter
from rollups.counts import DailyKey, RollupKey, RollupSegmentKey
from rollups.groups import ALL_CUSTOMERS
from rollups.rows import encode_rollup
from storage.contract import Storage
from storage.errors import LeaseHeld
from storage.influxdb import InfluxStorage
from storage.influxdb.client import Client
from storage.influxdb.lease import Lease
from storage.influxdb.line_protocol import AFTER_ALL_LINES, DAY, shard
from storage.influxdb.schema import COUNTS
from storage.keys import FileKey, IntentKey, Key, LogKey, ObservedKey, RolledUpKey, StateKey
from storage.logs import encode_log
from storage.owner import LeaseOwner
from storage.writers import MAIN
from stored_rows import MIDNIGHT, TODAY, counts, intent_of, log_row, segment_of
from stores import ask, everyone, read_daily, write_daily


@pytest.mark.parametrize("field", ["name", "row"])
def test_a_point_that_is_being_written_is_left_out(influxdb_bucket: tuple[InfluxServer, str], field: str) -> None:
    server, bucket = influxdb_bucket
    writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    token = writing.acquire()
    write_daily(writing, {DailyKey("a", TODAY): counts({200: 7}, {1: 7})})
    client = Client(server.url, server.org, server.admin_token, 10.0)
    # A question that comes between the fields of a point finds one of them.
    for customer in ("a", "b"):
        at = TODAY * DAY + token + 1
        point = f'daily,customer={writing._places().customer_tag(customer)},writer=main {field}="{customer}" {at}'
        client.write(f"{bucket}{COUNTS}", point.encode())
    client.close()
    writing.close()
    asking = InfluxStorage(server.url, server.org, bucket, server.admin_token)

    async def look(storage: Storage) -> None:
        for _ in range(2):
            found = await everyone(storage, TODAY, TODAY)
            assert {name: days[TODAY].statuses for name, days in found.items()} == {"a": encode_counter({200: 7})}

    ask(asking, look)


def test_a_request_that_is_being_written_is_left_out(influxdb_bucket: tuple[InfluxServer, str]) -> None:
    server, bucket = influxdb_bucket
    client = Client(server.url, server.org, server.admin_token, 10.0)
    whole = 'customer_id="a",request_path="/whole",status_code=200i'
    for second, fields in enumerate((whole, 'customer_id="a"', 'customer_id="a",request_path="/path"')):
        point = f"api_requests,lane=0,shard={shard('a')} {fields} {(MIDNIGHT + second) * 10**9}"
        client.write(bucket, point.encode())
    client.close()
    asking = InfluxStorage(server.url, server.org, bucket, server.admin_token)

    async def look(storage: Storage) -> None:
        found = await storage.requests("a", MIDNIGHT, MIDNIGHT + 60, "all", 10)
        assert [request.path for request in found] == ["/whole"]

    ask(asking, look)


def test_compaction_removes_replaced_rows(influxdb_bucket: tuple[InfluxServer, str]) -> None:
    server, bucket = influxdb_bucket
    keys = [DailyKey("a", TODAY), DailyKey('o"d,d', TODAY), DailyKey(None, TODAY)]
    segments = [RollupSegmentKey(7, TODAY, "parts", 0)]
    for commit in (100, 200, 300):
        writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
        writing.acquire()
        writing.read_daily(keys)
        writing.read_rollups([RollupKey(*segments[0][:3])])
        write_daily(writing, dict.fromkeys(keys, counts({200: commit}, {1: commit})))
        writing.write({key: encode_rollup(segment_of("parts", 0, commit)) for key in segments})
        writing.write({LogKey("log"): encode_log(log_row(offset=commit))})
        writing.compact()
        writing.close()
    with server.client() as client:
        for measurement, rows in (("daily", 2), ("daily_all", 1), ("rollups", 1), ("logs", 1)):
            query = {"db": f"{bucket}{COUNTS}", "q": f"SELECT count(row) FROM {measurement}"}
            (result,) = client.get("/query", params=query).json()["results"]
            assert result["series"][0]["values"][0][1] == rows
    asking = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    assert {row.statuses[200] for row in read_daily(asking, keys).values()} == {300}
    asking.close()


@pytest.mark.parametrize(
    "key",
    [
        DailyKey(None, TODAY),
        RollupSegmentKey(ALL_CUSTOMERS, TODAY, "parts", 0),
        LogKey("log"),
        FileKey("log", 0),
        RolledUpKey("log"),
        ObservedKey("log"),
        StateKey("counts"),
        StateKey("rollups_intent"),
    ],
    ids=repr,
)
def test_a_row_at_an_unknown_fencing_token_is_removed(influxdb_bucket: tuple[InfluxServer, str], key: Key) -> None:
    """A processor has written a row after the store was emptied, and before it found out."""
    server, bucket = influxdb_bucket
    writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    writing.acquire()
    writing.write({key: "1 names={}"})
    client = Client(server.url, server.org, server.admin_token, 10.0)
    counts_bucket = f"{bucket}{COUNTS}"
    client.delete(counts_bucket, '_measurement="tokens"', 0, AFTER_ALL_LINES + DAY)
    next_one = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    next_one.acquire()
    for measurement in ("daily_all", "rollups", "logs", "files", "rolled_up", "observed", "state"):
        assert client.ask(counts_bucket, f"SELECT row FROM {measurement}", {}) == []
    for storage in (writing, next_one):
        storage.close()
    client.close()


def test_an_intent_at_an_unknown_fencing_token_is_removed(
    influxdb_bucket: tuple[InfluxServer, str],
) -> None:
    server, bucket = influxdb_bucket
    writing = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    token = writing.acquire()
    writing.write({IntentKey(1): intent_of(1, token - 1), IntentKey(2): intent_of(2, token)})
    writing.close()
    next_one = InfluxStorage(server.url, server.org, bucket, server.admin_token)
    next_one.acquire()
    assert (next_one.read_intent(1), next_one.read_intent(2)) == ("", intent_of(2, token))
    next_one.close()


def test_a_process_with_a_successor_takes_no_token_and_ends(
    influxdb_bucket: tuple[InfluxServer, str],
) -> None:
    """A process is paused between the check of its lease and its next fencing token."""
    server, bucket = influxdb_bucket
    counts_bucket = f"{bucket}{COUNTS}"

    class PausedClient(Client):
        takes_over: Callable[[], object] | None = None

        def write(self, bucket: str, lines: bytes) -> None:
            if lines.startswith(b"tokens") and self.takes_over is not None:
                takes_over, self.takes_over = self.takes_over, None
                takes_over()
            super().write(bucket, lines)

    client = PausedClient(server.url, server.org, server.admin_token, 10.0)
    paused = Lease(client, counts_bucket, MAIN)
    paused.wait_until_free()
    paused.acquire()
    with patch.object(LeaseOwner, "this_process", return_value=LeaseOwner("elsewhere", 1, 1)):
        successor = Lease(client, counts_bucket, MAIN)

    def take_over() -> None:
        # Fencing tokens go by tenths of a second, and a successor waits for ten seconds.
        time.sleep(0.3)
        successor.acquire()

    client.takes_over = take_over
    paused.token = None
    with pytest.raises(LeaseHeld, match="process 1 on elsewhere"), paused.writing():
        pytest.fail("it would hide the rows of its successor")
    successor.check()
    for lease in (paused, successor):
        lease.release()
    client.close()
