"""Several processors, each a writer of its own, fill one store from logs of their own."""

import json
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import oracle
import programs
from asking import FIGURES, ago, answer
from lines import CUSTOMERS, valid_lines
from pipeline import COMMAND_SECONDS, Pipeline
from stores import Store

BAD_LINE = b"of %s, no request\n"


@pytest.fixture
def pipelines(store: Store, tmp_path: Path) -> Iterator[list[Pipeline]]:
    """Two processors of one store. They share all settings but their names and their logs."""
    shared = {
        "DEAD_LETTERS_PATH": str(tmp_path / "dead_letters.jsonl"),
        "HEARTBEAT_PATH": str(tmp_path / "processor.heartbeat"),
        "BACKFILL_FOLDER": str(tmp_path / "backfill"),
    }
    with ExitStack() as stack:
        running = []
        for writer in ("main", "web-1"):
            folder = tmp_path / f"host of {writer}"
            folder.mkdir()
            pipeline = Pipeline(folder, {**store.environment, **shared, "WRITER": writer}, store.open)
            stack.callback(pipeline.close)
            running.append(pipeline)
        yield running


def test_two_processors_fill_one_store_and_one_is_killed(
    pipelines: list[Pipeline], store: Store, tmp_path: Path
) -> None:
    main, web = pipelines
    logs: dict[str, bytes] = {"main": b"", "web-1": b""}

    def append(pipeline: Pipeline, seed: int) -> None:
        lines = valid_lines(300, seed=seed) + BAD_LINE % pipeline.writer.encode()
        logs[pipeline.writer] += lines
        pipeline.append(lines)

    for seed, pipeline in enumerate(pipelines):
        append(pipeline, seed)
        pipeline.start()
    web.until_stored()
    append(main, 2)
    append(web, 3)
    # Its predecessor is fenced, and nobody else: the other one goes on.
    web.end(signal.SIGKILL)
    append(main, 4)
    main.until_stored()
    append(web, 5)
    web.start()
    for pipeline in pipelines:
        pipeline.until_stored()
        pipeline.until_rolled_up()
        assert pipeline.run("health").returncode == 0
    everything = logs["main"] + logs["web-1"]
    assert main.stored() == oracle.days_of(everything)
    for customer in CUSTOMERS[:2]:
        found = answer(store, f"/customers/{customer}/stats?from_date={ago(4)}")
        expected = {date: figures for (name, date), figures in oracle.days_of(everything).items() if name == customer}
        assert {day["date"]: tuple(day[name] for name in FIGURES) for day in found["daily"]} == expected
    assert main.rolled_up() == oracle.rollups_of(everything)
    for pipeline in pipelines:
        checked = pipeline.run("verify")
        assert checked.returncode == 0, checked.stdout
        lines = logs[pipeline.writer].count(b"\n")
        assert f"All agree: lines {lines:,}, requests {lines - 3:,}, rejected 3" in checked.stdout
    for writer, name in (("main", "dead_letters.jsonl"), ("web-1", "dead_letters.web-1.jsonl")):
        letters = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        assert {letter["line"] for letter in letters} == {(BAD_LINE % writer.encode()).decode().rstrip()}
        assert len(letters) == 3
    assert (tmp_path / "processor.web-1.heartbeat").exists()


def test_a_writer_has_one_processor_at_a_time(pipelines: list[Pipeline]) -> None:
    main, web = pipelines
    main.start()
    web.start()
    web.until_said("event=following", 1)
    end = web.run()
    assert end.returncode == 1
    assert "riter web-1 of t" in end.stdout
    assert "is written by process" in end.stdout
    assert main.status() is web.status() is None


def test_a_backfilled_file_is_its_writers(pipelines: list[Pipeline], tmp_path: Path) -> None:
    main, web = pipelines
    lines = valid_lines(200, seed=7)
    old = tmp_path / "old.log"
    old.write_bytes(lines)
    web.start()
    web.until_said("event=following", 1)
    assert web.run("backfill", str(old)).returncode == 0
    assert web.stored() == oracle.days_of(lines)
    assert (main.ledger(), sum(row.stored for row in web.ledger())) == ([], 200)


def test_a_writer_that_ended_is_retired(pipelines: list[Pipeline], store: Store) -> None:
    main, web = pipelines
    first, second = valid_lines(300, seed=11), valid_lines(300, seed=12)
    for pipeline, lines in ((main, first), (web, second)):
        pipeline.append(lines)
        pipeline.start()
        pipeline.until_stored()

    def retire(writer: str) -> tuple[int, str]:
        end = programs.run("storage", "retire", writer, env=web.environment, timeout=COMMAND_SECONDS)
        return end.returncode, end.stdout

    status, said = retire("web-1")
    assert (status, "Nothing is retired." in said) == (1, True)
    web.end(signal.SIGKILL)
    assert retire("web-1") == (0, "Writer web-1 is retired: its counts are the archive's.\n")
    assert main.stored() == oracle.days_of(first + second)
    main.until_rolled_up()
    assert main.rolled_up() == oracle.rollups_of(first + second)
    status_of_store = answer(store, "/status")
    assert [writer["writer"] for writer in status_of_store["writers"]] == ["main"]
    assert {log["writer"]: log["lines_read"] for log in status_of_store["logs"]} == {"archive": 300, "main": 300}
    assert retire("web-1") == (0, "Writer web-1 was retired before.\n")
    assert retire("web-9")[0] == 1
    end = web.run()
    assert end.returncode == 1
    assert "This writer was retired" in end.stdout
    # The other one has noticed nothing.
    main.append(second)
    main.until_stored()
    assert main.stored() == oracle.days_of(first + second + second)
    assert main.run("verify").returncode == 0
