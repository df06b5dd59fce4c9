"""The second definition of a request and of the figures, in SQL, against the first."""

import random
import string
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

import oracle
import parsed_log
from lines import valid_lines
from log_processor.commands.verify.definitions import LONGEST_LINE
from log_processor.commands.verify.recount import EVERYBODY, SKIPPED, Recount, RowKey, whole_lines
from log_processor.format_settings import LogFormat
from parsed_log import parsed_line
from request_log.formats.simple import parse
from request_log.framing.framed import BYTE_ORDER_MARK, Framed
from request_log.framing.wrappers import WRAPPERS
from request_log.line import LAST_SECOND, Mended
from request_log.path_template import path_template
from rollups.groups import escaped
from rollups.rules import DEFAULT
from wrapped import Part, wrapped

names = map("log_{}".format, count())
stages = count(1)
GOOD = ["2026-11-23", "16:15:35", "cust_5", "/api/v1/resource4", "200", "0.772"]
OLDEST_DAY = 20_000
LATEST_SECOND = 1_795_450_535
"""2026-11-23 16:15:35"""
ODD_FIELDS = [
    *["2026-02-30", "2028-02-29", "2026-2-3", "0000-01-01", "9999-12-31", "2199-12-31", "2200-01-01", "1969-12-31"],
    *["infinity", "-infinity", "epoch", "today", "1970-01-01", "2024-10-03", "2024-10-04", "2026-11-23T16:15:35"],
    *["16:15:34", "16:15:36", "2026-11-22", "2026-11-24"],
    *["24:00:00", "23:59:60", "23:60:00", "00:00:00", "23:59:59", "1:2:3", "16:15:35Z", "16:15:35.5"],
    *["099", "100", "599", "600", "2000", "20", "+20", "2e2", "\u0662\u0660\u0660"],
    *["0", "00.5", "0.0005", "0.00049999", "86399.9996", "86400", "86400.000", "86400.0001", "086400.1", "99999.9999"],
    *["100000", "1" * 60, "0" * 500 + "1", "0." + "9" * 500, ".5", "5.", "-1", "+1", "1e3", "nan", "inf", "1_0", "0x1"],
    *["", "'", '"', "\\", "\x00", "\r", "\t", "\x85", "\u2028", "\u00ad", "\u3000", "\ufffd", "c" * 256, "c" * 257],
    *["é" * 128, "é" * 129, "%s", "$text", "a" * (LONGEST_LINE - 60)],
]

fields = st.lists(
    st.one_of(st.sampled_from(ODD_FIELDS), st.text(st.characters(exclude_categories=["Cs"]), max_size=8)), max_size=3
)
spoiled = st.builds(
    lambda places, odd, drop: [*[dict(zip(places, odd, strict=False)).get(i, f) for i, f in enumerate(GOOD)][drop:]],
    st.permutations(range(6)),
    fields,
    st.sampled_from([0, 0, 0, 1]),
)
bad_bytes = st.sampled_from([b"", b"", b"\r", b"\r\r", b" ", b" more", b"\xff", b"\xed\xa0\x80", b"x" * LONGEST_LINE])
odd_lines = st.one_of(
    st.builds(lambda fields, end: " ".join(fields).encode() + end, spoiled, bad_bytes), st.binary(max_size=40)
).map(lambda line: line.replace(b"\n", b"").lstrip(b"\0"))
"""Zeros at a line's beginning are no part of it."""


def words(characters: str, shortest: int, longest: int) -> SearchStrategy[str]:
    """Words of some characters. Hypothesis draws a whole word at once, where a regex has it draw each character."""
    return st.binary(min_size=shortest, max_size=longest).map(
        lambda drawn: "".join(characters[byte % len(characters)] for byte in drawn)
    )


segments = st.one_of(
    words("0123456789abcdefABCDEF", 14, 18),
    words(f"{string.digits}{string.ascii_letters}_-", 18, 22),
    st.binary(min_size=16, max_size=16).map(lambda drawn: str(UUID(bytes=drawn))),
    st.sampled_from(
        ["", "api", "12", "\u0661\u0662", "\u212a" * 20, "(other)", "{id}", "a" * 119, "ü" * 125, "?x=1", "#"]
    ),
)
paths = st.sampled_from(["(other)", "\\(other)", "(forgotten)", "/(other)", "*", "/a?b/1#c", "?q=1", "/x" * 60])


@pytest.fixture(scope="module")
def recount(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recount]:
    """One for all examples: each takes a log, or a stage, of its own."""
    with Recount(tmp_path_factory.mktemp("recount"), OLDEST_DAY, LATEST_SECOND, None) as opened:
        yield opened


# Many lines in few examples, because a query costs more than a line.
@settings(max_examples=25)
@given(st.lists(odd_lines, min_size=20, max_size=60))
@example([BYTE_ORDER_MARK])
def test_it_judges_lines_as_the_parser_does(recount: Recount, lines: list[bytes]) -> None:
    log, data = next(names), b"".join(line + b"\n" for line in lines)
    recount.add(log, 0, [data])
    requests, rejected, *_ = Framed.of(parse)(data, 0, OLDEST_DAY, LATEST_SECOND)
    counted = recount.lines(log)
    assert counted.pop(None, 0) == len(requests)
    assert counted == Counter(bad.reason.value for bad in rejected)


@given(st.lists(st.sampled_from([b"", b"a", b"\r", b"bc"]), min_size=1), st.lists(st.integers(1, 5)))
def test_lines_are_whole_however_they_are_read(lines: list[bytes], lengths: list[int]) -> None:
    data = b"\n".join(lines)
    blocks = []
    for length in [*lengths, len(data)]:
        blocks.append(data[:length])
        data = data[length:]
    whole = [line for block in whole_lines(blocks) for line in block.split(b"\n")]
    # What comes after the last newline is a line unless it is empty.
    assert whole == (lines if lines[-1] else lines[:-1])


def test_a_line_that_is_too_long_is_not_held() -> None:
    blocks = [b"before\nlong", *[b"x" * LONGEST_LINE] * 100, b"end\nafter\n"]
    whole = [line for block in whole_lines(blocks) for line in block.split(b"\n")]
    assert [line[:6] for line in whole] == [b"before", b"longxx", b"after"]
    assert len(whole[1]) == LONGEST_LINE + 1


def test_its_figures_are_the_oracles(tmp_path: Path) -> None:
    log = valid_lines(5_000, days=4)
    with Recount(tmp_path, 0, LAST_SECOND, None) as recount:
        recount.add("a", 0, [log[:100_001], log[100_001:]])
        counted = {
            (customer, day): row.figures for day in recount.days() for customer, row in recount.of_day(day).items()
        }
    assert counted == truth(log)


def test_stages_are_told_apart(tmp_path: Path) -> None:
    parts = [valid_lines(10 * seed, seed=seed) for seed in (1, 2, 3)]
    with Recount(tmp_path, 0, LAST_SECOND, None) as recount:
        for stage, lines in enumerate(parts):
            recount.add("a", stage, [lines])

        def counted(last_stage: int) -> dict[RowKey, object]:
            wanted = [(customer, day, last_stage) for customer, day in truth(b"".join(parts))]
            return {key: row.figures for key, row in recount.of_rows(wanted).items()}

        for last in range(3):
            assert counted(last) == truth(b"".join(parts[: last + 1]))
        recount.forget_later()
        assert counted(2) == truth(parts[0])


@settings(max_examples=25)
@given(st.lists(st.one_of(paths, st.lists(segments, max_size=13).map("/".join)), min_size=20, max_size=60))
def test_its_endpoints_are_the_templates_of_paths(recount: Recount, paths: list[str]) -> None:
    lines = "".join(f"2026-11-23 16:15:35 a {path} 200 0.1\n" for path in paths)
    requests, *_ = parse(lines.encode())
    stage = next(stages)
    recount.add(next(names), stage, [lines.encode()])
    query = "SELECT path, sum(lines) FROM divided WHERE part IS NULL AND stage = $stage GROUP BY path"
    found = dict(recount.ask(query, stage=stage))
    assert found == Counter(escaped(path_template(path)) for path in requests.request_paths())


def test_its_quarter_hours_and_endpoints_are_the_oracles(tmp_path: Path) -> None:
    log = valid_lines(3_000)
    with Recount(tmp_path, 0, LAST_SECOND, None) as recount:
        recount.add("a", 0, [log])
        by_hour = "SELECT customer, day, part // 4, sum(lines) FROM divided WHERE path IS NULL GROUP BY ALL"
        by_endpoint = "SELECT customer, day, path, sum(lines) FROM divided WHERE part IS NULL GROUP BY ALL"
        found = {
            (customer, str(date(1970, 1, 1) + timedelta(days=day)), part): lines
            for query in (by_hour, by_endpoint)
            for customer, day, part, lines in recount.ask(query)
        }
        both = recount.ask("SELECT sum(lines), sum(timed) FROM divided WHERE customer IS NULL")
    assert found == {key: figures[0] for key, figures in oracle.rollups_of(log).items()}
    assert both == [(3_000, 3_000)]


def test_what_was_too_new_when_it_was_read_is_taken_out(tmp_path: Path) -> None:
    lines = valid_lines(20)
    too_new = lines[: lines.index(b"\n")]
    with Recount(tmp_path, 0, LAST_SECOND, None) as recount:
        recount.add("a", 0, [lines])
        recount.reject("a", 0, too_new + b"\nno request", "", DEFAULT)
        assert recount.lines("a") == {None: 19, "too_new": 1}
        assert recount.ask("SELECT sum(lines) FROM divided WHERE customer IS NULL") == [(19,)]


def test_its_figures_of_any_status_and_of_none_are_the_oracles(tmp_path: Path) -> None:
    pick = random.Random(1)
    logged = [(pick.choice([None, 100, 199, 200, 399, 400, 999]), pick.choice(["", "0.5", "2"])) for _ in range(500)]
    lines = b"".join(parsed_line(50, "a", status=status or 0, duration=duration) for status, duration in logged)
    with Recount(tmp_path, 0, LAST_SECOND, Framed.of(parsed_log.parse)) as recount:
        recount.add("a", 0, [lines])
        counted = recount.of_day(0)
    expected: tuple[float | None, ...] = oracle.figures(logged)
    assert counted["a"].figures == expected
    assert counted[EVERYBODY].figures == expected
    assert counted["a"].statuses == Counter(status or 0 for status, _ in logged)


def test_what_was_skipped_and_mended_is_counted_by_stage(tmp_path: Path) -> None:
    mended = parsed_line(50, "a", mended=[Mended.DURATION, Mended.STATUS])
    with Recount(tmp_path, 0, LAST_SECOND, Framed.of(parsed_log.parse)) as recount:
        recount.add("a", 0, [mended * 3 + parsed_log.SKIPPED * 2, parsed_log.REJECTED])
        recount.add("a", 1, [mended, parsed_log.SKIPPED])
        recount.add("b", 0, [mended])
        assert recount.lines("a") == {None: 3, SKIPPED: 2, "fields": 1}
        assert recount.mended("a") == {"duration": 3, "status": 3}
        assert recount.lines("a", 1)[SKIPPED] == 3
        assert recount.mended("a", 1) == {"duration": 4, "status": 4}
        recount.forget_later()
        assert recount.mended("a", 1) == {"duration": 3, "status": 3}
        # It was too new, and so no request, when it was read.
        recount.reject("a", 0, mended, "", DEFAULT)
        assert recount.mended("a") == {"duration": 2, "status": 2}
        assert recount.lines("a") == {None: 2, SKIPPED: 2, "fields": 1, "too_new": 1}


def test_stored_requests_are_of_no_log(tmp_path: Path) -> None:
    lines = valid_lines(20)
    with Recount(tmp_path, 0, LAST_SECOND, None) as recount:
        recount.add_stored(0, parse(lines)[0], DEFAULT)
        assert recount.days() == set()
        counted = {
            (customer, day): row.figures for _, day in truth(lines) for customer, row in recount.of_day(day).items()
        }
    assert counted == truth(lines)


def truth(log: bytes) -> dict[RowKey, oracle.Figures]:
    """The oracle's figures under our keys."""
    return {
        (customer or EVERYBODY, (date.fromisoformat(day) - date(1970, 1, 1)).days): figures
        for (customer, day), figures in oracle.days_of(log).items()
    }


@pytest.mark.parametrize("cut", [0, 40, 70, 100, 150])
def test_wrapped_lines_are_put_together_but_not_over_a_hole(tmp_path: Path, cut: int) -> None:
    line = b"2026-11-23 16:15:35 a /x 200 0.100"
    parts: list[Part] = [("stdout", False, line[:9]), ("stdout", True, line[9:])]
    joined, places = wrapped("cri", parts)
    data = joined + joined[: places[1]] + b"\0" * 99 + joined[places[1] :] + b"\0" * 9
    with Recount(tmp_path, 0, LAST_SECOND, None, WRAPPERS["cri"]) as recount:
        assert recount.add("a", 0, [data[:cut], data[cut:]]) == ""
        assert recount.lines("a") == {None: 1, "fields": 1, "time": 1}


def test_lines_that_were_too_new_are_judged_by_the_columns_that_were_in_force(tmp_path: Path) -> None:
    fields = b"#Fields: date time cs-username cs-uri-stem sc-status"
    line = b"2026-11-23 16:15:35 acme /orders 200"
    with Recount(tmp_path, 0, LAST_SECOND, LogFormat(log_format="w3c").parser()) as recount:
        assert recount.add("a", 0, [fields + b"\n" + line + b"\n", line]).encode() == fields
        assert recount.add("a", 0, [line], 500, fields.decode()).encode() == fields
        assert recount.lines("a") == {None: 3, SKIPPED: 1}
        recount.reject("a", 0, line, fields.decode(), DEFAULT)
        assert recount.lines("a") == {None: 2, SKIPPED: 1, "too_new": 1}
