"""Shippers of logs: each line of a file is counted once, from the file to the answer."""

import json
import os
import signal
from pathlib import Path

import pytest
from confluent_kafka import Producer

import programs
from kafka_broker import Topic
from lines import valid_lines
from log_processor.kafka.shipment import HEADER, FilePart, Shipment, encode, partition_of
from running_api import running as running_api
from shippers import shipper
from stores import Store
from topic_processors import processors
from until import wait_until


def split(lines: bytes, parts: int) -> list[bytes]:
    """The lines in so many parts."""
    some = lines.splitlines(keepends=True)
    return [b"".join(some[place * len(some) // parts : (place + 1) * len(some) // parts]) for place in range(parts)]


def append(path: Path, lines: bytes) -> None:
    with path.open("ab") as file:
        file.write(lines)


def rotate(path: Path) -> None:
    """By rename, as logrotate does it."""
    for number in range(5, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    path.rename(path.with_name(f"{path.name}.1"))


def test_each_line_of_each_host_is_counted_once(kafka: str, store: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 3)
    lines = valid_lines(6_000)
    one, other, later = split(lines, 3)
    logs = [tmp_path / "orders.log", tmp_path / "shop.log"]
    append(logs[0], one + b"no request\n")
    append(logs[1], other + b"x" * 70_000 + b"\n")
    with (
        processors(topic, store, tmp_path) as running,
        shipper(topic, tmp_path, "web-1", [logs[0]]) as first,
        shipper(topic, tmp_path, "web-2", [logs[1]]) as second,
    ):
        processor = running.start()
        first.start()
        second.start()
        running.until_counted(one + other, rejected=2)
        rotate(logs[0])
        append(logs[0], later)
        running.until_counted(lines, rejected=2)
        processor.until_rolled_up()
        # While the shippers say where their logs end, again and again.
        checked = processor.run("verify").stdout
        assert "All agree: lines 6,002, requests 6,000, rejected 2 (fields 1, too_long 1)" in checked
        assert "could not be checked" not in checked
        # A position in the host's file, not in the topic.
        letters = [json.loads(line) for line in (tmp_path / "processor_0/dead_letters.jsonl").read_bytes().splitlines()]
        assert {(letter["log"], letter["generation"], letter["offset"], letter["reason"]) for letter in letters} == {
            (f"web-1:{logs[0]}", 0, len(one), "fields"),
            (f"web-2:{logs[1]}", 0, len(other), "too_long"),
        }
        assert (first.end(), second.end()) == (0, 0)
        sent = [one.verify().stdout.splitlines()[0] for one in (first, second)]
        assert [line.rpartition(", bytes")[0] for line in sent] == [
            "All agree: logs 1, lines 4,001",
            "All agree: logs 1, lines 2,001",
        ]
        # A hole takes no memory and no time.
        os.truncate(logs[0], 1 << 40)
        append(logs[0], later)
        first.start()
        wait_until(lambda: "not sent" not in first.verify().stdout, "the hole is passed", first.said)
        assert first.verify().stdout.startswith("All agree: logs 1, lines 6,001")
        append(logs[1], later)
        unsent = second.verify()
        assert unsent.returncode == 1
        assert "Lines are not sent" in unsent.stdout
        assert processor.end() == 0
        with running_api(tmp_path, store.environment) as api:
            found = {row["log"]: row for row in api.get("/status").json()["logs"]}
        assert {(row["lines_read"], row["bytes_behind"]) for name, row in found.items() if ":" in name} == {
            (6_001, 0),
            (2_001, 0),
        }


def test_the_way_from_the_file_to_the_answer_outlives_kills(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 2)
    lines = valid_lines(12_000)
    parts = split(lines, 12)
    log = tmp_path / "orders.log"
    log.touch()
    with processors(topic, sqlite, tmp_path) as running, shipper(topic, tmp_path, "web-1", [log]) as shipping:
        settings = {"STREAM_MAX_SIZE": "500", "STREAM_MAX_WAIT_TIME_IN_SECONDS": "0.02"}
        processor = running.start(**settings)
        shipping.start()
        # At the first start ever, what was rotated before is not read.
        shipping.until_said("event=following")
        for number, some in enumerate(parts):
            append(log, some)
            if number % 3 == 2:
                shipping.end(signal.SIGKILL)
                rotate(log)
                log.touch()
                shipping.start()
            if number % 4 == 3:
                following = running.start(**settings)
                processor.end(signal.SIGKILL)
                processor = following
        running.until_counted(lines)
        running.agrees("All agree: lines 12,000, requests 12,000, rejected 0")
        ended = shipping.verify()
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
        assert ended.stdout.startswith("All agree: logs 1, lines 12,000")
        assert not [gap for row in processor.ledger() for gap in row.gaps]


def test_one_shipper_of_a_log_is_at_work(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(3_000)
    parts = split(lines, 3)
    log = tmp_path / "orders.log"
    append(log, parts[0])
    with processors(topic, sqlite, tmp_path) as running, shipper(topic, tmp_path, "web-1", [log]) as shipping:
        running.start()
        paused = shipping.start()
        running.until_counted(parts[0])
        shipping.start()
        # The first one is alive: the second one waits.
        shipping.until_said("event=shipper_awaited")
        paused.send_signal(signal.SIGSTOP)
        append(log, parts[1])
        shipping.until_said("event=following", 2)
        running.until_counted(parts[0] + parts[1])
        append(log, parts[2])
        paused.send_signal(signal.SIGCONT)
        assert paused.wait(timeout=60) == 1
        assert "event=session_superseded" in shipping.said()
        running.until_counted(lines)
        running.agrees("All agree: lines 3,000")


def test_a_gap_that_a_shipper_finds_is_seen_in_the_store(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(200)
    before, after = split(lines, 2)
    log = tmp_path / "orders.log"
    append(log, before)
    with processors(topic, sqlite, tmp_path) as running, shipper(topic, tmp_path, "web-1", [log]) as shipping:
        processor = running.start()
        shipping.start()
        running.until_counted(before)
        assert shipping.end() == 0
        # Nobody follows while lines go.
        append(log, valid_lines(10, seed=3))
        log.unlink()
        append(log, after)
        shipping.start()
        running.until_counted(lines)
        running.until(lambda: [gap for row in processor.ledger() for gap in row.gaps], "the gap is there")
        # Truncated or deleted: the system may give the inode to the new file.
        running.agrees(f"web-1:{log} has a gap: the file was ")


def test_a_log_keeps_its_partition_when_partitions_are_added(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 1)
    lines = valid_lines(300)
    parts = split(lines, 3)
    logs = [tmp_path / f"{name}.log" for name in ("orders", "shop")]
    append(logs[0], parts[0])
    with processors(topic, sqlite, tmp_path) as running, shipper(topic, tmp_path, "web-1", logs) as shipping:
        processor = running.start()
        shipping.start()
        running.until_counted(parts[0])
        assert shipping.end() == 0
        topic.grow(7)
        append(logs[0], parts[1])
        logs.append(tmp_path / "new.log")
        append(logs[2], parts[2])
        shipping.environment["LOG_FILES"] = ",".join(map(str, logs))
        shipping.start()
        running.until_counted(lines)
        writers = {row.log: writer for writer, row in processor.ask(lambda storage: storage.logs())}
        new = f"web-1:{logs[2]}"
        assert writers[f"web-1:{logs[0]}"] == f"{topic.name}-0"
        assert writers[new] == f"{topic.name}-{partition_of(new, 7)}"


def test_a_shipment_in_the_wrong_partition_is_refused_and_named(kafka: str, sqlite: Store, tmp_path: Path) -> None:
    topic = Topic(kafka, 2)
    lines = valid_lines(10)
    wrong = Shipment("web-1", 1, 2, "orders", (FilePart(0, 0, len(lines), "", len(lines)),))
    producer = Producer({"bootstrap.servers": kafka, "log_level": 0})
    for name, header in ((HEADER, encode(wrong)), (HEADER, b"damaged"), ("other", b"")):
        partition = 1 - partition_of(wrong.name, 2)
        producer.produce(topic.name, lines.splitlines()[0], b"key", partition, headers=[(name, header)])
    assert producer.flush(30) == 0
    with processors(topic, sqlite, tmp_path) as running:
        processor = running.start()
        # The record of somebody else is a line.
        running.until_counted(lines.splitlines(keepends=True)[0], rejected=2)
        assert processor.said().count("event=shipment_refused") == 2
        running.agrees("All agree: lines 3, requests 1, rejected 2 (fields 2)")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SHIPPER", "", "SHIPPER=: String should match pattern"),
        ("SHIPPER", "a:b", "SHIPPER=a:b: String should match pattern"),
        ("SHIPPER", "backfill-1", "SHIPPER=backfill-1: begins with backfill-"),
        ("KAFKA_TOPIC", "", "KAFKA_TOPIC=: String should match pattern"),
        ("KAFKA_BOOTSTRAP_SERVERS", "", "KAFKA_BOOTSTRAP_SERVERS=: String should have at least 1 character"),
        ("LOG_FILES", "/no/such/folder/log", "LOG_FILES=/no/such/folder/log: there is no folder"),
        ("KAFKA_SETTINGS_FILE", "acks=1", "acks cannot be given: a shipper waits for all copies"),
        ("KAFKA_SETTINGS_FILE", "no.such.setting=1", 'No such configuration property: "no.such.setting"'),
    ],
)
def test_settings_that_are_refused(tmp_path: Path, name: str, value: str, said: str) -> None:
    if name == "KAFKA_SETTINGS_FILE":
        (tmp_path / "settings").write_text(value)
        value = str(tmp_path / "settings")
        said = f"KAFKA_SETTINGS_FILE={value}: {said}"
    given = {
        **os.environ,
        "SHIPPER": "web-1",
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "KAFKA_TOPIC": "requests",
        "SHIPPER_HEARTBEAT_PATH": str(tmp_path / "heartbeat"),
        name: value,
    }
    ended = programs.run("log_shipper", env=given, timeout=60)
    assert (ended.returncode, ended.stderr.startswith(said)) == (78, True), ended.stderr


def test_the_health_check_knows_whether_the_broker_answers(kafka: str, tmp_path: Path) -> None:
    log = tmp_path / "orders.log"
    log.touch()
    with shipper(Topic(kafka, 1), tmp_path, "web-1", [log]) as shipping:
        assert programs.run("log_shipper", "health", env=shipping.environment, timeout=60).returncode == 1
        shipping.start()
        wait_until(
            lambda: programs.run("log_shipper", "health", env=shipping.environment, timeout=60).returncode == 0,
            "it is healthy",
            shipping.said,
        )
        assert shipping.end() == 0
