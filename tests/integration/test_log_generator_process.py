"""log_generator as a process, on real files."""

import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

import programs
from log_generator.log_writer import CUT_OFF
from request_log.formats.simple import parse
from request_log.line import Reason
from request_log.requests import Requests
from service.settings import EXIT_CONFIG, PROJECT_ROOT
from until import WAIT_SECONDS, wait_until

COMMAND = [sys.executable, "-m", "log_generator"]


def environment(log: Path, **settings: object) -> dict[str, str]:
    return {
        "PYTHONPATH": str(PROJECT_ROOT / "src"),
        "LOG_FILE_PATH": str(log),
        **{name: str(value) for name, value in settings.items()},
    }


def run(log: Path, **settings: object) -> "subprocess.CompletedProcess[str]":
    """A run that ends by itself."""
    return programs.run("log_generator", env=environment(log, **settings), timeout=WAIT_SECONDS)


@contextmanager
def running(log: Path, **settings: object) -> Iterator["subprocess.Popen[str]"]:
    """A run without end."""
    with subprocess.Popen(
        COMMAND,
        env=environment(log, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def has_lines(log: Path, more_than: int = 0) -> bool:
    return log.exists() and log.stat().st_size > more_than


def requests(log: Path) -> Requests:
    valid, rejected, *_ = parse(log.read_bytes())
    assert rejected == []
    return valid


def last_event(output: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in output.splitlines()[-1].split(" "))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "requests.log"


@pytest.mark.parametrize(("limit", "batch_size"), [(1, 10), (25, 10), (30, 10), (50_000, 25_000)])
def test_it_ends_after_exactly_as_many_lines_as_it_was_told(log: Path, limit: int, batch_size: int) -> None:
    before = int(time.time())
    ended = run(log, MAX_LOGS_TO_GENERATE=limit, LOG_BATCH_SIZE=batch_size, LOG_INTERVAL_SECONDS=0.01)
    assert ended.returncode == 0, ended
    valid = requests(log)
    assert len(valid) == limit
    assert before <= min(valid.seconds) <= max(valid.seconds) <= time.time()
    assert last_event(ended.stdout)["event"] == "ended"
    assert last_event(ended.stdout)["lines"] == str(limit)


def test_it_appends_to_what_is_there(log: Path) -> None:
    for lines in (10, 20):
        run(log, MAX_LOGS_TO_GENERATE=10)
        assert len(requests(log)) == lines


def test_the_same_seed_repeats_the_same_requests(tmp_path: Path) -> None:
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    run(first, LOG_SEED=5, MAX_LOGS_TO_GENERATE=200, LOG_BATCH_SIZE=200)
    run(second, LOG_SEED=5, MAX_LOGS_TO_GENERATE=200, LOG_BATCH_SIZE=60, LOG_INTERVAL_SECONDS=0.01, LOG_HISTORY_DAYS=9)
    one, other = requests(first), requests(second)
    assert one.customer_ids() == other.customer_ids()
    assert one.request_paths() == other.request_paths()
    assert one.statuses.tolist() == other.statuses.tolist()
    assert one.durations == other.durations
    assert len(set(one.days)) < len(set(other.days))


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("--lines=5", 2)])
def test_an_argument_is_not_passed_over(log: Path, argument: str, status: int) -> None:
    ended = subprocess.run(
        [*COMMAND, argument], env=environment(log), capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
    )
    assert ended.returncode == status
    assert "usage: python -m log_generator" in ended.stdout + ended.stderr
    assert not log.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("batch_size", "interval"),
    [
        pytest.param(100, 0.001, id="writing"),
        pytest.param(1_000_000, 1, id="mid-batch"),
        pytest.param(5, 3600, id="waiting"),
    ],
)
def test_it_ends_in_order_when_asked_to(log: Path, number: signal.Signals, batch_size: int, interval: float) -> None:
    with running(log, LOG_BATCH_SIZE=batch_size, LOG_INTERVAL_SECONDS=interval) as process:
        wait_until(lambda: has_lines(log), "it writes")
        process.send_signal(number)
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0
    assert last_event(output)["event"] == "ended"
    assert last_event(output)["lines"] == str(len(requests(log)))


def test_killed_and_started_again_and_again_it_glues_no_lines_together(log: Path) -> None:
    kills = 5
    size = 0
    for _ in range(kills):
        with running(log, LOG_BATCH_SIZE=100, LOG_INTERVAL_SECONDS=0.005) as process:
            wait_until(partial(has_lines, log, more_than=size), "it writes on")
            process.kill()
            process.wait()
        size = log.stat().st_size
    run(log, MAX_LOGS_TO_GENERATE=1)
    valid, rejected, *_ = parse(log.read_bytes())
    assert len(valid) > 100 * kills
    # A kill in the instant between two pages can leave half a line, see log_writer.pieces.
    assert [cut.line for cut in rejected if not cut.line.endswith(CUT_OFF.strip())] == []
    assert len(rejected) <= kills


@pytest.mark.parametrize("half", ["2026-11-2", "2026-11-24 06:00:00 cust_1 /path 200 0.1", "\xff"])
def test_a_half_line_at_the_end_is_never_taken_for_a_request(log: Path, half: str) -> None:
    whole = b"2026-11-24 06:00:00 cust_1 /path 200 0.123\n"
    log.write_bytes(whole + half.encode("latin-1"))
    ended = run(log, MAX_LOGS_TO_GENERATE=10)
    assert "event=half_line_ended" in ended.stdout
    valid, rejected, *_ = parse(log.read_bytes())
    assert len(valid) == 11
    assert [line.offset for line in rejected] == [len(whole)]
    assert rejected[0].reason in (Reason.FIELDS, Reason.NOT_UTF8)


@pytest.mark.parametrize("deleted", [False, True])
def test_it_follows_its_path_when_the_log_is_rotated_away(log: Path, deleted: bool) -> None:
    rotated = log.with_suffix(".1")
    with running(log, LOG_BATCH_SIZE=10, LOG_INTERVAL_SECONDS=0.005) as process:
        wait_until(lambda: has_lines(log), "it writes")
        log.rename(rotated)
        if deleted:
            rotated.unlink()
        wait_until(lambda: has_lines(log), "it writes")
        process.terminate()
        output, _ = process.communicate(timeout=WAIT_SECONDS)
    assert process.returncode == 0
    assert "event=log_reopened" in output
    if not deleted:
        assert last_event(output)["lines"] == str(len(requests(rotated)) + len(requests(log)))


def test_a_full_disk_ends_it_with_the_reason(log: Path) -> None:
    limit = 100_000
    process = subprocess.run(
        COMMAND,
        env=environment(log, LOG_BATCH_SIZE=1000, LOG_INTERVAL_SECONDS=0.001),
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert process.returncode == 1
    assert "event=cannot_write" in process.stdout
    assert "File too large" in process.stdout
    assert "Traceback" not in process.stdout + process.stderr
    assert log.stat().st_size == limit


def test_bad_settings_end_it_before_it_writes(log: Path) -> None:
    ended = run(log, LOG_BATCH_SIZE="0", LOG_SEED="x")
    assert ended.returncode == EXIT_CONFIG
    assert "LOG_BATCH_SIZE=0: " in ended.stderr
    assert "LOG_SEED=x: " in ended.stderr
    assert not log.exists()
