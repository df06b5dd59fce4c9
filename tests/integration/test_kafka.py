"""Partitions of a topic: each record's lines are counted once, whoever has the partition."""

import json
import re
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from msgspec import structs

from kafka_broker import Topic
from lines import CUSTOMERS, valid_lines
from pipeline import Pipeline
from rollups.counts import RollupKey, RollupKind
from rollups.groups import ALL_CUSTOMERS, group_of
from running_api import running as running_api
from storage.keys import FileKey
from storage.logs import encode_file
from stored_rows import TODAY, add_to_rollup
from stores import Store
from topic_processors import processors


def records_of(lines: bytes) -> Sequence[bytes]:
    """A record of each line."""
    return lines.splitlines()


def test_each_line_of_each_record_is_counted_once(kafka: str, store: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 3)
    lines = valid_lines(6_000)
    one, chunk = lines.splitlines()[:2_000], lines.splitlines()[2_000:]
    with processors(topic, store, tmp_path) as running:
        for partition in range(3):
            topic.send(one[partition::3], partition)
        processor = running.start()
        running.until_counted(b"\n".join([*one, b""]))
        # Chunks of lines, with and without a newline at their ends, and some single ones between.
        topic.send([b"\n".join(chunk[:1_500]), b"\n".join([*chunk[1_500:3_990], b""]), *chunk[3_990:]], partition=1)
        running.until_counted(lines)
        processor.until_rolled_up()
        # While the processor runs.
        running.agrees(f"All agree: lines 6,000, requests 6,000, rejected 0, customers {len(CUSTOMERS)}, days")
        assert processor.end() == 0
        assert {(row.log, row.path) for row in processor.ledger()} == {
            (f"{topic.name}-{number}", f"kafka:{topic.name}/{number}") for number in range(3)
        }
        # Quarter hours and endpoints are compared as well.
        changed: list[tuple[int, RollupKind, str]] = [
            (group_of(CUSTOMERS[0]), "parts", CUSTOMERS[0]),
            (ALL_CUSTOMERS, "endpoints", "(all)"),
        ]
        for group, kind, customer in changed:
            add_to_rollup(store.open(f"{topic.name}-0"), RollupKey(group, TODAY - 1, kind))
            ended = processor.run("verify")
            assert ended.returncode == 1
            assert re.search(rf"^{re.escape(customer)} .*: requests ", ended.stdout, re.MULTILINE)


def test_a_processor_takes_over_from_one_that_was_killed(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    # On InfluxDB torture does the same.
    topic = Topic(kafka, 4)
    lines = valid_lines(24_000)
    records = [b"\n".join(lines.splitlines()[first : first + 20]) for first in range(0, 24_000, 20)]
    with processors(topic, sqlite, tmp_path) as running:
        # Small chunks, so that every kill comes in the middle of something.
        settings = {"STREAM_MAX_SIZE": "500", "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.02"}
        current = running.start(**settings)
        for number in range(3):
            topic.send(records[number * 200 : number * 200 + 200])
            seen = sum(row.read for row in current.ledger())
            following = running.start(**settings)
            running.until(partial(has_counted_more, current, seen), "some are counted")
            current.end(signal.SIGKILL)
            current = following
        topic.send(records[600:])
        running.until_counted(lines)


@pytest.mark.parametrize("store", ["influxdb"], indirect=True)
def test_a_paused_processor_counts_nothing_that_its_successor_has(kafka: str, store: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 2)
    lines = valid_lines(4_000)
    records = records_of(lines)
    with processors(topic, store, tmp_path) as running:
        paused = running.start()
        topic.send(records[:1_000])
        running.until_counted(b"\n".join([*records[:1_000], b""]))
        topic.send(records[1_000:2_000])
        paused.send(signal.SIGSTOP)
        successor = running.start()
        topic.send(records[2_000:3_000])
        running.until(lambda: successor.said().count("event=partition_acquired") == 2, "the successor has both")
        paused.send(signal.SIGCONT)
        topic.send(records[3_000:])
        running.until_counted(lines)


def test_new_partitions_are_read_from_their_first_records(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(300)
    records = records_of(lines)
    with processors(topic, sqlite, tmp_path) as running:
        running.start()
        topic.send(records[:100], partition=0)
        running.until_counted(b"\n".join([*records[:100], b""]))
        topic.grow(3)
        for partition in (1, 2):
            topic.send(records[100 * partition : 100 * partition + 100], partition)
        running.until_counted(lines)


def test_holes_of_transactions_are_no_gaps(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(300)
    records = records_of(lines)
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start()
        topic.send_in_transactions(
            [(records[:100], True), (records_of(valid_lines(50, seed=2)), False), (records[100:200], True)], 0
        )
        running.until_counted(b"\n".join([*records[:200], b""]))
        # Nothing is behind although the last offsets are those of a marker.
        running.until(lambda: observed(processor) == [0], "nothing is behind")
        assert processor.end() == 0
        topic.send_in_transactions([(records[200:], True)], 0)
        running.start()
        running.until_counted(lines)
        assert [row.gaps for row in processor.ledger()] == [()]
        # After the records lies the marker of each transaction.
        running.until(lambda: [row.size for row in processor.files()] == [354 * 16], "the last marker is passed")
        running.until(lambda: observed(processor) == [0], "nothing is behind")
        with running_api(tmp_path, sqlite.environment) as api:
            (found,) = api.get("/status").json()["logs"]
        assert (found["log"], found["writer"]) == (f"{topic.name}-0", f"{topic.name}-0")
        assert found["position"] == {"generation": 0, "offset": 354}
        assert (found["bytes_behind"], found["records_behind"]) == (None, 0)


def test_records_that_the_broker_removed_unread_are_a_gap(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(300)
    records = records_of(lines)
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start()
        topic.send(records[:100])
        running.until_counted(b"\n".join([*records[:100], b""]))
        assert processor.end() == 0
        topic.send(records_of(valid_lines(50, seed=2)))
        topic.delete_records(0, 150)
        topic.send(records[100:])
        running.start()
        running.until_counted(lines)
        assert [gap.reason for row in processor.ledger() for gap in row.gaps] == [
            "the broker removed records before they were read"
        ]
        running.agrees(f"{topic.name}-0 has a gap: the broker removed records before they were read.")


def test_a_record_that_cannot_be_decompressed_is_named_and_can_be_removed(
    kafka: str, sqlite: Store, tmp_path: Path
) -> None:
    topic = Topic(kafka, 2)
    lines = valid_lines(300)
    records = records_of(lines)
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start()
        topic.send(records[:100], partition=0)
        # librdkafka refuses to make more of a record than `receive.message.max.bytes`.
        topic.send_inflated(120 << 20, partition=0)
        topic.send(records[100:200], partition=0)
        topic.send(records[200:], partition=1)
        processor.until_said(f"event=records_unreadable log={topic.name}-0 record=100", 1)
        # The others go on.
        running.until_counted(b"\n".join([*records[:100], *records[200:], b""]))
        topic.delete_records(0, 101)
        running.until_counted(lines)
        assert [gap.reason for row in processor.ledger() for gap in row.gaps] == [
            "the broker removed records before they were read"
        ]


def test_a_partition_whose_row_is_damaged_is_named(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(10)
    topic.send(records_of(lines), 0)
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start()
        running.until_counted(lines)
        assert processor.end() == 0
        storage = sqlite.open(f"{topic.name}-0")
        storage.acquire()
        (row,) = processor.files()
        storage.write({FileKey(row.log, 0): encode_file(structs.replace(row, identity="of no topic"))})
        storage.close()
        processor.start()
        assert processor.wait() == 1
        assert "event=store_refused" in processor.said()
        assert "row of a file of a topic is damaged: 'of no topic'" in processor.said()
        assert "Traceback" not in processor.said()


def test_a_topic_that_is_made_anew_is_read_from_its_beginning(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 2)
    lines = valid_lines(400)
    records = records_of(lines)
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start()
        topic.send(records[:200])
        running.until_counted(b"\n".join([*records[:200], b""]))
        topic.delete()
        topic.create(2)
        # Until a processor sees that the topic is another one, it may take new records for later ones of the old.
        processor.until_said("event=topic_file_changed", 2)
        topic.send(records[200:])
        running.until_counted(lines)
        assert sorted((row.generation, row.state) for row in processor.files()) == [
            *((0, "closed"), (0, "closed")),
            *((1, "live"), (1, "live")),
        ]
        running.agrees("records that were counted are not in the topic any more.")


def test_each_record_with_the_line_in_a_member_counts_once(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(20)
    records = records_of(lines)
    members = [
        json.dumps({"@timestamp": 1, "message": line.decode(), "host": {"name": "a"}}).encode() for line in records
    ]
    without: list[bytes | None] = [b'{"log": "other"}', b"no json", None, b'{"message": 7}', records[0]]
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start(KAFKA_MEMBER="message")
        topic.send([*members[:10], *without, b"{" + b"x" * 70_000, *members[10:]])
        running.until_counted(lines, rejected=6)
        letters = [json.loads(line) for line in (tmp_path / "processor_0/dead_letters.jsonl").read_bytes().splitlines()]
        assert [(letter["log"], letter["record"], letter["reason"]) for letter in letters] == [
            (f"{topic.name}-0", record, "fields") for record in range(10, 16)
        ]
        assert letters[4]["line"] == records[0].decode()
        running.agrees("All agree: lines 26, requests 20, rejected 6 (fields 6)")
        assert processor.end() == 0


def test_lines_that_are_no_requests_are_dead_letters_by_record_and_line(
    kafka: str, sqlite: Store, tmp_path: Path
) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(4)
    first, *others = records_of(lines)
    with processors(topic, sqlite, tmp_path) as running:
        running.start()
        # What would be a hole in a file is a part of a record.
        zeros = [bytes(50), bytes(3) + first]
        topic.send([first, b"\n".join([*others, b"no request", b"x" * 70_000]), *zeros])
        running.until_counted(lines, rejected=4)
        letters = [json.loads(line) for line in (tmp_path / "processor_0/dead_letters.jsonl").read_bytes().splitlines()]
        assert [(letter["record"], letter["line_of_record"], letter["reason"]) for letter in letters] == [
            (1, 3, "fields"),
            (1, 4, "too_long"),
            (2, 0, "control_character"),
            (3, 0, "control_character"),
        ]
        running.agrees("All agree: lines 8, requests 4, rejected 4")


def test_the_group_is_told_what_is_counted(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(100)
    reader = Consumer({"bootstrap.servers": kafka, "group.id": topic.name, "log_level": 0})
    with processors(topic, sqlite, tmp_path) as running:
        running.start()
        topic.send(records_of(lines))
        running.until_counted(lines)
        at = [TopicPartition(topic.name, 0)]
        running.until(lambda: reader.committed(at, timeout=10)[0].offset == 100, "the group knows")


def has_counted_more(processor: Pipeline, lines: int) -> bool:
    """Whether more lines are counted."""
    return sum(row.read for row in processor.ledger()) > lines


def observed(processor: Pipeline) -> list[int]:
    """How many records of each partition were not read when it was last observed."""
    return [end.bytes_behind for _, end in processor.ask(lambda storage: storage.observed_ends())]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("group.id=other", "group.id cannot be given: KAFKA_GROUP has it"),
        ("enable.auto.commit=true", "enable.auto.commit cannot be given: the ledger says what is counted"),
        ("auto.offset.reset=latest", "auto.offset.reset cannot be given: the ledger says where reading begins"),
        ("isolation.level=read_uncommitted", "isolation.level cannot be given"),
        ("partition.assignment.strategy=range", "partition.assignment.strategy cannot be given"),
        ("nonsense", "line 1 is not name=value"),
        ("no.such.setting=1", 'No such configuration property: "no.such.setting"'),
    ],
)
def test_settings_that_are_refused(sqlite: Store, tmp_path: Path, given: str, said: str) -> None:
    settings = tmp_path / "kafka.properties"
    settings.write_text(given)
    ended = Pipeline(tmp_path, sqlite.environment, sqlite.open).run(
        SOURCE="kafka",
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1",
        KAFKA_TOPIC="requests",
        KAFKA_SETTINGS_FILE=str(settings),
    )
    assert ended.returncode == 78
    assert ended.stderr.startswith(f"KAFKA_SETTINGS_FILE={settings}: {said}")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("KAFKA_TOPIC", "", "KAFKA_TOPIC=: SOURCE=kafka needs it"),
        ("KAFKA_BOOTSTRAP_SERVERS", "", "KAFKA_BOOTSTRAP_SERVERS=: SOURCE=kafka needs it"),
        ("LOG_FORMAT", "w3c", "SOURCE=kafka: not with LOG_FORMAT=w3c"),
        ("LOG_WRAPPER", "docker", "SOURCE=kafka: not with LOG_WRAPPER=docker"),
    ],
)
def test_settings_that_do_not_go_with_a_topic(sqlite: Store, tmp_path: Path, name: str, value: str, said: str) -> None:
    given = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "KAFKA_TOPIC": "requests", name: value}
    ended = Pipeline(tmp_path, sqlite.environment, sqlite.open).run(SOURCE="kafka", **given)
    assert ended.returncode == 78
    assert ended.stderr.startswith(said)
