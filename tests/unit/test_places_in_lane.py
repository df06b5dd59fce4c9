"""Files of a log lie one after the other in its lane."""

from log_processor.chunk import BatchPart
from log_processor.counting.logs import Logs
from storage.contract import LedgerRow, Position


def read(generation: int, length: int) -> BatchPart:
    start = Position(generation, 0)
    return BatchPart("log", "/logs/log", start, Position(generation, length), "fingerprint", (), length, 0, 0, [])


def test_a_file_without_lines_leaves_no_file_on_another_one() -> None:
    logs = Logs([], [], {})
    logs.begin(LedgerRow("log", "/logs/log", Position(0, 0), Position(0, 0), "fingerprint"))
    for generation, length in ((1, 0), (1, 100), (2, 0), (2, 50), (3, 0), (4, 0)):
        logs.take(read(generation, length))
    _, files = logs.changed()
    assert sorted((file.generation, file.lane, file.base, file.end) for file in files) == [
        (0, 0, 0, 0),
        (1, 0, 0, 100),
        (2, 0, 112, 50),
        (3, 0, 176, 0),
        (4, 0, 176, None),
    ]
