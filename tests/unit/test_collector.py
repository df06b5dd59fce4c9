"""When the lines of a log are handed on."""

from pathlib import Path

from log_processor.collector import BEHIND_BYTES, Collector
from log_processor.tail import Tail
from rollups.counts import Position

WAIT_SECONDS = 10
LINE = b"x" * 999 + b"\n"


def test_the_last_lines_of_a_backlog_do_not_wait_for_more_and_later_ones_do(tmp_path: Path) -> None:
    log = tmp_path / "log"
    lines = BEHIND_BYTES // len(LINE) + 1_234
    log.write_bytes(LINE * lines)
    collector = Collector("log", str(log), Tail(log, Position(0, 0), ""), 1_000, WAIT_SECONDS)
    chunks = []
    # Each reads a mebibyte.
    for _ in range(20):
        chunks += collector.collect(now=0)
    assert b"".join(chunk.lines for chunk in chunks) == LINE * lines
    with log.open("ab") as file:
        file.write(LINE)
    assert not collector.collect(now=1)
    assert not collector.collect(now=WAIT_SECONDS)
    (chunk,) = collector.collect(now=1 + WAIT_SECONDS)
    assert chunk.lines == LINE
    collector.tail.close()
