"""What the processor does when InfluxDB is away, refuses, or answers late."""

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import oracle
from faulty_proxy import Decision, Fault, FaultyProxy, Request, faulty_proxy
from influxd import InfluxServer
from lines import valid_lines
from log_processor.counting.pace import LONGEST_PAUSE_BEHIND_SECONDS
from pipeline import Pipeline
from request_log.line import Reason
from stores import influxdb_store

# SIGTERM is obeyed within five seconds.
END_SECONDS = 6.0
MEGABYTE = 1 << 20
# What the bodies of writes begin with.
REQUESTS = (b"api_requests",)
COUNTS = (b"logs", b"files", b"daily", b"daily_all")
WRITES: dict[str, tuple[bytes, ...]] = {
    "requests": REQUESTS,
    "intent": (b"intents",),
    "counts": COUNTS,
    "ledger": (b"state,state=counts",),
    "intent of roll-ups": (b"state,state=rollups_intent",),
    "roll-ups": (b"rollups",),
    "positions of roll-ups": (b"rolled_up",),
    "ledger of roll-ups": (b"state,state=rollups,",),
}
every_write = pytest.mark.parametrize("rows", WRITES.values(), ids=WRITES)


@dataclass
class Proxied:
    """A pipeline that reaches its InfluxDB through a proxy, and may write to it by itself."""

    pipeline: Pipeline
    proxy: FaultyProxy
    server: InfluxServer
    bucket: str


@pytest.fixture
def proxied(influxd: InfluxServer, tmp_path: Path) -> Iterator[Proxied]:
    with influxdb_store(influxd) as store, faulty_proxy(influxd.url) as proxy:
        pipeline = Pipeline(tmp_path, {**store.environment, "INFLUXDB_URL": proxy.url}, store.open)
        yield Proxied(pipeline, proxy, influxd, store.environment["INFLUXDB_BUCKET"])
        pipeline.close()


class FailOnce:
    """Does this to the first write of such rows."""

    def __init__(self, rows: tuple[bytes, ...], fault: Fault | int) -> None:
        self._rows = rows
        self._fault = fault
        self.is_done = False

    def __call__(self, request: Request) -> Decision:
        if self.is_done or not (request.is_write and request.body.startswith(self._rows)):
            return None
        self.is_done = True
        return self._fault


def follow(pipeline: Pipeline, **environment: str) -> None:
    """Start the processor, and wait until it follows the log."""
    times = pipeline.said().count("event=following") if pipeline.output.exists() else 0
    pipeline.start(**environment)
    pipeline.until(lambda: pipeline.said().count("event=following") > times, "it follows")


def ended_with_a_sentence(pipeline: Pipeline) -> str:
    """Wait for the processor's end by itself; why it ended."""
    assert pipeline.wait() == 1
    said = pipeline.said()
    assert "Traceback" not in said
    assert "panicked" not in said
    (sentence,) = [line for line in said.splitlines() if "level=error" in line]
    assert "event=store_refused" in sentence
    return sentence


def until_all_is_stored(pipeline: Pipeline) -> None:
    pipeline.until_stored()
    pipeline.until_rolled_up()


def assert_equal_to_the_log(pipeline: Pipeline, lines: bytes) -> None:
    assert pipeline.stored() == oracle.days_of(lines)
    assert pipeline.rolled_up() == oracle.rollups_of(lines)


def dead_letters(pipeline: Pipeline) -> list[tuple[int, str]]:
    """Offset and reason of each rejected line that was kept."""
    text = (pipeline.log.parent / "dead_letters.jsonl").read_text()
    return [(entry["offset"], entry["reason"]) for entry in map(json.loads, text.splitlines())]


def test_while_the_store_is_away_the_log_is_the_buffer(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    # Long lines: much to hold and little to work on.
    lines = b"".join(
        line.replace(b"/api", b"/" + b"x" * 10_000) for line in valid_lines(12_000).splitlines(keepends=True)
    )
    assert len(lines) > 110 * MEGABYTE
    pipeline.append(lines[:MEGABYTE])
    follow(pipeline, STREAM_MAX_SIZE="200")
    pipeline.until_stored(offset=lines.rfind(b"\n", 0, MEGABYTE) + 1)
    before = pipeline.peak_memory()
    proxy.decide = lambda request: 503 if request.body.startswith(REQUESTS) else None
    pipeline.append(lines[MEGABYTE:])
    pipeline.until(lambda: pipeline.said().count("with status 503") >= 5, "it reads on as far as it will")
    proxy.go_away()
    pipeline.until(lambda: pipeline.said().count("cannot be reached") >= 5, "it has tried again and again")
    proxy.decide = lambda request: None
    proxy.come_back()
    pipeline.until_stored()
    assert pipeline.peak_memory() - before < len(lines)
    assert pipeline.end() == 0
    assert pipeline.stored() == oracle.days_of(lines)


def test_when_a_backlog_is_worked_off_its_counts_do_not_wait_any_longer(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines = b"".join(
        line.replace(b"/api", b"/" + b"x" * 10_000) for line in valid_lines(6_000).splitlines(keepends=True)
    )
    refused: list[Request] = []

    def make_one_commit_long(request: Request) -> Decision:
        if request.body.startswith(COUNTS) and len(refused) < 6:
            refused.append(request)
            return 503
        return None

    proxy.decide = make_one_commit_long
    pipeline.append(lines)
    pipeline.start(STREAM_MAX_SIZE="200")
    pipeline.until(lambda: pipeline.said().count("with status 503") == 6, "a commit takes long")
    began = time.monotonic()
    pipeline.until_stored()
    # Half of what it pauses after such a commit while there is a backlog.
    assert time.monotonic() - began < LONGEST_PAUSE_BEHIND_SECONDS / 2
    assert pipeline.stored() == oracle.days_of(lines)


@pytest.mark.parametrize(
    ("environment", "reason"),
    [({"INFLUXDB_TOKEN": "wrong"}, "is the token right?"), ({"INFLUXDB_BUCKET": "nowhere"}, "not found: nowhere")],
)
def test_a_wrong_token_or_bucket_ends_it_with_a_sentence(
    proxied: Proxied, environment: dict[str, str], reason: str
) -> None:
    proxied.pipeline.append(valid_lines(10))
    proxied.pipeline.start(**environment)
    assert reason in ended_with_a_sentence(proxied.pipeline)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_later_ends_it_with_a_sentence_and_loses_nothing(proxied: Proxied, status: int) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines, more = valid_lines(100), valid_lines(100, seed=2)
    pipeline.append(lines)
    pipeline.start()
    pipeline.until_stored()
    proxy.decide = lambda request: status if request.is_write else None
    pipeline.append(more)
    assert f"status {status}" in ended_with_a_sentence(pipeline)
    proxy.decide = lambda request: None
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines + more)


def test_a_conflict_of_types_ends_it_with_a_sentence(proxied: Proxied) -> None:
    pipeline = proxied.pipeline
    lines = valid_lines(10, days=1)
    point = f'api_requests,log=other status_code="text" {int(time.time()) * 10**9}'
    with proxied.server.client() as client:
        query = {"org": proxied.server.org, "bucket": proxied.bucket}
        client.post("/api/v2/write", params=query, content=point).raise_for_status()
    pipeline.append(lines)
    pipeline.start()
    assert "status_code" in ended_with_a_sentence(pipeline)


def test_what_has_expired_by_its_clock_is_not_kept_and_all_else_is(proxied: Proxied) -> None:
    pipeline = proxied.pipeline
    kept = valid_lines(500, days=40)
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 60 * 86_400)).encode()
    expired = b"".join(day + line[10:] for line in valid_lines(50, seed=2).splitlines(keepends=True))
    pipeline.append(kept + expired + kept)
    # Longer than the bucket keeps them, as the processor's clock may have it.
    pipeline.start(RETENTION_DAYS="100")
    pipeline.until_stored()
    (row,) = pipeline.ledger()
    assert (row.stored, row.rejected) == (1_050, {})
    assert pipeline.stored() == oracle.days_of(kept + kept)


def test_lines_that_it_refuses_are_rejected_and_all_others_stored(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines = valid_lines(3_000).splitlines(keepends=True)
    refused = [0, 1_500, 1_501, 2_999]
    for place in refused:
        lines[place] = lines[place].replace(b"/api", b"/refused")
    proxy.decide = lambda request: 400 if b"/refused" in request.body else None
    pipeline.append(b"".join(lines))
    pipeline.start()
    pipeline.until_stored()
    (row,) = pipeline.ledger()
    assert (row.read, row.stored, row.rejected) == (3_000, 2_996, {Reason.REFUSED: 4})
    assert dead_letters(pipeline) == [(sum(map(len, lines[:place])), "refused") for place in refused]
    others = b"".join(line for place, line in enumerate(lines) if place not in refused)
    assert pipeline.stored() == oracle.days_of(others)


def test_what_is_too_large_is_split(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines = valid_lines(3_000)
    sizes: list[int] = []

    def refuse_large(request: Request) -> Decision:
        sizes.append(len(request.body))
        return 413 if len(request.body) > 10_000 else None

    proxy.decide = refuse_large
    pipeline.append(lines)
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.ledger()[0].rejected == {}
    assert pipeline.stored() == oracle.days_of(lines)
    assert max(sizes) > 10_000


def test_sigterm_is_obeyed_while_the_store_is_away(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines = valid_lines(1_000)
    follow(pipeline)
    proxy.go_away()
    pipeline.append(lines)
    pipeline.until(lambda: "event=store_unavailable" in pipeline.said(), "it has noticed")
    assert pipeline.end(signal.SIGTERM, seconds=END_SECONDS) == 0
    proxy.come_back()
    pipeline.start()
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)


def test_sigterm_is_obeyed_while_the_store_is_away_from_the_start(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    proxy.go_away()
    pipeline.start()
    pipeline.until(lambda: "event=store_unavailable" in pipeline.said(), "it has noticed")
    assert pipeline.end(signal.SIGTERM, seconds=END_SECONDS) == 0


@every_write
def test_sigterm_is_obeyed_while_the_store_holds_a_write(proxied: Proxied, rows: tuple[bytes, ...]) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines = valid_lines(1_000)
    follow(pipeline)
    proxy.decide = lambda request: Fault.HOLD if request.body.startswith(rows) else None
    pipeline.append(lines)
    pipeline.until(lambda: proxy.held > 0, "a write is held")
    assert pipeline.end(signal.SIGTERM, seconds=END_SECONDS) == 0
    proxy.decide = lambda request: None
    pipeline.start()
    until_all_is_stored(pipeline)
    proxy.release()
    assert_equal_to_the_log(pipeline, lines)


# A proxy answers with 200 where it shows a page of its own.
@every_write
@pytest.mark.parametrize("fault", [Fault.RESET_REQUEST, Fault.LOSE_ANSWER, 200])
def test_a_write_that_fails_is_tried_again_and_counts_once(
    proxied: Proxied, rows: tuple[bytes, ...], fault: Fault | int
) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    parts = [valid_lines(300, seed=seed) for seed in range(2)]
    follow(pipeline)
    for part in parts:
        proxy.decide = failing = FailOnce(rows, fault)
        pipeline.append(part)
        until_all_is_stored(pipeline)
        assert failing.is_done
    assert_equal_to_the_log(pipeline, b"".join(parts))


@every_write
def test_a_write_that_lands_late_changes_nothing(proxied: Proxied, rows: tuple[bytes, ...]) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    parts = [valid_lines(300, seed=seed) for seed in range(4)]
    follow(pipeline, INFLUXDB_TIMEOUT_SECONDS="0.5")
    proxy.decide = FailOnce(rows, Fault.HOLD)
    pipeline.append(parts[0])
    until_all_is_stored(pipeline)
    assert proxy.held == 1
    pipeline.append(parts[1])
    pipeline.until_stored()
    pipeline.end(signal.SIGKILL)
    pipeline.start()
    pipeline.append(parts[2])
    until_all_is_stored(pipeline)
    assert proxy.release() == 1
    assert_equal_to_the_log(pipeline, b"".join(parts[:3]))
    pipeline.end(signal.SIGKILL)
    pipeline.append(parts[3])
    pipeline.start()
    until_all_is_stored(pipeline)
    assert_equal_to_the_log(pipeline, b"".join(parts))


@every_write
def test_a_write_of_a_killed_process_that_lands_late_changes_nothing(proxied: Proxied, rows: tuple[bytes, ...]) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    parts = [valid_lines(300, seed=seed) for seed in range(3)]
    pipeline.append(parts[0])
    pipeline.start()
    until_all_is_stored(pipeline)
    proxy.decide = FailOnce(rows, Fault.HOLD)
    pipeline.append(parts[1])
    pipeline.until(lambda: proxy.held == 1, "a write is held")
    pipeline.end(signal.SIGKILL)
    pipeline.append(parts[2])
    pipeline.start()
    until_all_is_stored(pipeline)
    assert proxy.release() == 1
    assert_equal_to_the_log(pipeline, b"".join(parts))
    pipeline.end(signal.SIGKILL)
    pipeline.start()
    until_all_is_stored(pipeline)
    assert_equal_to_the_log(pipeline, b"".join(parts))


def test_a_claim_of_a_killed_process_that_lands_late_does_not_end_its_successor(proxied: Proxied) -> None:
    pipeline, proxy = proxied.pipeline, proxied.proxy
    lines = valid_lines(300)
    heartbeat = pipeline.log.parent / "heartbeat"
    proxy.decide = FailOnce((b"tokens",), Fault.HOLD)
    pipeline.start()
    pipeline.until(lambda: proxy.held == 1, "its claim to write is held")
    pipeline.end(signal.SIGKILL)
    # Fencing tokens go by tenths of a second.
    claimed = time.monotonic()
    pipeline.until(lambda: time.monotonic() > claimed + 0.2, "time goes on")
    follow(pipeline)
    assert proxy.release() == 1
    for _ in range(2):
        pipeline.until(heartbeat.exists, "it reports")
        report = heartbeat.stat().st_mtime_ns
        pipeline.until(lambda report=report: heartbeat.stat().st_mtime_ns > report, "it reports")  # type: ignore[misc]
    pipeline.append(lines)
    pipeline.until_stored()
    assert pipeline.stored() == oracle.days_of(lines)
