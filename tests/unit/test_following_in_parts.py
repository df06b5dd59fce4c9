"""Following logs whose lines come in parts. The lines are those of the whole file, however the file is read, and
whenever the reader is killed."""

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from following import DAY, QUIET, Follower, Log, Time, lines_in, write_and_follow
from request_log.framing.framed import BYTE_ORDER_MARK
from request_log.framing.protocol import PLAIN, Framing
from request_log.framing.wrappers import MAX_SPAN_BYTES, WRAPPERS
from request_log.line import MAX_LINE_BYTES
from wrapped import CONTAINERS, Part, logs, wrapped


def assert_read(log: Log, framing: Framing, follower: Follower, *files: bytes) -> None:
    """Assert that the follower has the lines of these files, each at its place. The files' order is that of their
    generations."""
    assert follower.lines == {
        place: line
        for number, data in enumerate(files)
        for place, line in lines_in(data.removesuffix(b"\n") + b"\n", framing, number).items()
    }


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "log", Time())


@settings(max_examples=30)
@given(logs(), st.data())
def test_lines_are_the_same_however_the_log_is_read_and_whenever_the_reader_dies(
    log_of: tuple[str, list[Part]], draw: st.DataObject
) -> None:
    wrapper, parts = log_of
    framing = WRAPPERS[wrapper]
    with TemporaryDirectory() as folder, ExitStack() as stack:
        log = Log(Path(folder, "log"), Time())
        data, _ = wrapped(wrapper, parts)
        rotated_at = draw.draw(st.integers(0, len(data)))
        files = [data[:rotated_at], data[rotated_at:]]
        follower = Follower(log.path, log.time, framing=framing)
        stack.callback(lambda: follower.close())
        for number, of_file in enumerate(files):
            if number and files[0]:
                # The follower waits for the rest of half a line in the file before.
                follower.drain()
                log.shift()
            follower = write_and_follow(draw, log, follower, of_file)
        follower.drain()
        if log.path.exists():
            log.shift()
        follower.pass_time(DAY)
        assert_read(log, framing, follower, *filter(None, files))


@pytest.mark.parametrize("wrapper", CONTAINERS)
def test_the_read_through_waits_for_the_last_part(log: Log, wrapper: str) -> None:
    parts: list[Part] = [("stdout", True, b"a"), ("stdout", False, b"b"), ("stderr", True, b"c")]
    data, places = wrapped(wrapper, [*parts, ("stdout", True, b"d")])
    log.write(data[: places[3]])
    follower = Follower(log.path, log.time, framing=WRAPPERS[wrapper]).drain()
    (row,) = follower.stored.files.values()
    assert row.offset == places[1]
    assert follower.lines == {(0, 0): b"a"}
    (observed,) = follower.logs.observed_ends()
    assert observed.bytes_behind == 0
    log.write(data[places[3] :])
    follower.drain()
    assert follower.lines == {(0, 0): b"a", (0, places[1]): b"bd", (0, places[2]): b"c"}


@pytest.mark.parametrize("wrapper", CONTAINERS)
def test_a_line_of_many_parts_is_rejected_and_not_held(log: Log, wrapper: str) -> None:
    framing = WRAPPERS[wrapper]
    data, _ = wrapped(wrapper, [("stdout", False, b"x" * 16_384), ("stderr", True, b"y")] * 100)
    rest, _ = wrapped(wrapper, [("stdout", True, b"end"), ("stdout", True, b"z")])
    log.write(data)
    follower = Follower(log.path, log.time, framing=framing)
    largest = 0
    for _ in range(100):
        follower.step(0.01)
        (file,) = follower.logs.files()
        assert file.reader is not None
        largest = max(largest, len(file.reader.buffer))
    follower.drain()
    assert largest < MAX_SPAN_BYTES + (2 << 20)
    (row,) = follower.stored.files.values()
    assert (row.offset, row.context) == (len(data), "stdout")
    follower = follower.successor()
    log.write(rest)
    follower.drain()
    assert_read(log, framing, follower, data + rest)
    assert len(follower.lines) == 1 + 100 + 1


@pytest.mark.parametrize("wrapper", CONTAINERS)
def test_a_log_that_is_followed_from_its_end_drops_the_rest_of_a_line(log: Log, wrapper: str) -> None:
    data, places = wrapped(wrapper, [("stdout", False, b"a"), ("stdout", True, b"b"), ("stdout", True, b"c")])
    log.write(data[: places[1]])
    follower = Follower(log.path, log.time, start="end", framing=WRAPPERS[wrapper]).drain()
    log.write(data[places[1] :])
    assert follower.drain().texts == [b"c"]


@pytest.mark.parametrize("wrapper", CONTAINERS)
def test_an_open_line_at_the_end_of_a_final_file_is_taken_as_it_is(log: Log, wrapper: str) -> None:
    data, _ = wrapped(wrapper, [("stdout", True, b"a"), ("stdout", False, b"b"), ("stderr", False, b"c")])
    log.write(data)
    follower = Follower(log.path, log.time, framing=WRAPPERS[wrapper]).drain()
    assert follower.texts == [b"a"]
    log.path.unlink()
    assert follower.pass_time(QUIET).texts == [b"a", b"b", b"c"]


@pytest.mark.parametrize("wrapper", CONTAINERS)
@pytest.mark.parametrize("between", [b"x" * (MAX_LINE_BYTES + 1) + b"\n", b"\0" * 100])
def test_bytes_without_a_wrapper_end_an_open_line(log: Log, wrapper: str, between: bytes) -> None:
    before, _ = wrapped(wrapper, [("stdout", True, b"a"), ("stdout", False, b"b")])
    behind, _ = wrapped(wrapper, [("stderr", True, b"c"), ("stdout", True, b"d"), ("stdout", True, b"e")])
    log.write(before)
    follower = Follower(log.path, log.time, framing=WRAPPERS[wrapper]).drain()
    for place in range(0, len(between), 50_000):
        log.write(between[place : place + 50_000])
        follower.drain()
    log.write(behind)
    texts = [line for line in follower.drain().texts if isinstance(line, bytes)]
    assert texts == [b"a", b"b", b"c", b"d", b"e"]
    # A reader of the whole file sees the same lines.
    in_one_go = lines_in(before + between + behind, WRAPPERS[wrapper])
    assert texts == [line for _, line in sorted(in_one_go.items()) if isinstance(line, bytes)]


def test_a_byte_order_mark_is_no_part_of_the_first_line(log: Log) -> None:
    log.write(BYTE_ORDER_MARK[:2])
    follower = Follower(log.path, log.time, framing=PLAIN).drain()
    log.write(BYTE_ORDER_MARK[2:] + b"a\n" + BYTE_ORDER_MARK + b"b\n")
    assert follower.drain().lines == {(0, 0): b"a", (0, 5): BYTE_ORDER_MARK + b"b"}
