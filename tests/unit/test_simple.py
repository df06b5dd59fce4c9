"""The line's grammar."""

import re
from datetime import datetime, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_log.formats.simple import parse
from request_log.line import Reason, format_lines

GOOD = b"2026-11-23 16:15:35 cust_5 /api/v1/resource4 200 0.772\n"
DAY = 20_780

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"], exclude_characters=" "), min_size=1, max_size=40)
durations = st.one_of(
    st.decimals(0, 86_400, allow_nan=False, allow_infinity=False, places=4).map(lambda d: f"{d:f}"),
    st.integers(0, 86_400).map(str),
    st.sampled_from(["0", "0.0005", "0.0004", "86400", "86400.000", "00.5", "0." + "1" * 5_000, "0" * 5_000 + "1"]),
)
times = st.datetimes(datetime(1970, 1, 1), datetime(2199, 12, 31, 23, 59, 59)).map(lambda t: t.replace(microsecond=0))
requests = st.tuples(times, texts, texts, st.integers(100, 599), durations)
garbage = st.one_of(
    st.binary(max_size=60).map(lambda line: line.replace(b"\n", b"")),
    st.sampled_from([b"", b"\r", GOOD[:30], b" " + GOOD[:-1], GOOD[:-1] + b" ", GOOD.replace(b" ", b"  ")[:-1]]),
)


def line_of(request: tuple[datetime, str, str, int, str], ending: bytes = b"") -> bytes:
    time, customer, path, status, duration = request
    return f"{time:%Y-%m-%d %H:%M:%S} {customer} {path} {status} {duration}".encode() + ending


@given(st.lists(st.tuples(requests, st.sampled_from([b"", b"\r"])), min_size=1), st.integers(0, 10**12))
def test_valid_lines_are_read_as_they_were_written(
    given: list[tuple[tuple[datetime, str, str, int, str], bytes]], offset: int
) -> None:
    lines = [line_of(request, ending) for request, ending in given]
    found, rejected, *_ = parse(b"\n".join(lines) + b"\n", offset)
    assert rejected == []
    customers = found.customer_ids()
    for i, ((time, customer, path, status, duration), _) in enumerate(given):
        assert (customers[i], found.request_paths()[i]) == (customer, path)
        assert (found.statuses[i], found.durations[i]) == (status, duration)
        assert found.seconds[i] == time.replace(tzinfo=timezone.utc).timestamp()
        assert found.days[i] == found.seconds[i] // 86_400
        assert found.latencies[i] == int((Decimal(duration) * 1000).to_integral_value(ROUND_HALF_UP))
        assert found.offsets[i] == offset + sum(len(line) + 1 for line in lines[:i])


@given(st.lists(st.one_of(requests.map(line_of), garbage)))
def test_a_chunk_is_read_like_its_lines_one_by_one(lines: list[bytes]) -> None:
    found, rejected, *_ = parse(b"".join(line + b"\n" for line in lines))
    assert len(found) + len(rejected) == len(lines)
    offset = 0
    one_by_one: list[tuple[int, Any]] = []
    for line in lines:
        alone, bad, *_ = parse(line + b"\n", offset)
        one_by_one += [(alone.offsets[0], alone.names[0])] if alone else [(bad[0].offset, bad[0].reason)]
        offset += len(line) + 1
    together = [*zip(found.offsets, found.customer_ids(), strict=True), *((bad.offset, bad.reason) for bad in rejected)]
    assert sorted(together) == one_by_one


@given(st.binary())
def test_no_bytes_are_too_odd(data: bytes) -> None:
    found, rejected, *_ = parse(data + b"\n")
    assert len(found) + len(rejected) == data.count(b"\n") + 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", Reason.EMPTY),
        ("2026-11-23 16:15:35 cust_5 /api 200", Reason.FIELDS),
        ("2026-11-23 16:15:35 cust_5 /api 200 0.1 more", Reason.FIELDS),
        ("2026-11-23  16:15:35 cust_5 /api 200 0.1", Reason.FIELDS),
        ("2026-11-23T16:15:35 x cust_5 /api 200 0.1", Reason.TIME),
        ("2026-02-29 16:15:35 cust_5 /api 200 0.1", Reason.TIME),
        ("2026-11-23 24:00:00 cust_5 /api 200 0.1", Reason.TIME),
        ("2026-11-23 23:59:60 cust_5 /api 200 0.1", Reason.TIME),
        ("1969-12-31 23:59:59 cust_5 /api 200 0.1", Reason.TIME),
        ("2200-01-01 00:00:00 cust_5 /api 200 0.1", Reason.TIME),
        ("\uff12\uff1026-11-23 16:15:35 cust_5 /api 200 0.1", Reason.TIME),
        ("2026-11-23 16:15:35 cust_5 /api 099 0.1", Reason.STATUS),
        ("2026-11-23 16:15:35 cust_5 /api 600 0.1", Reason.STATUS),
        ("2026-11-23 16:15:35 cust_5 /api 2000 0.1", Reason.STATUS),
        ("2026-11-23 16:15:35 cust_5 /api 200 -0.1", Reason.DURATION),
        ("2026-11-23 16:15:35 cust_5 /api 200 +0.1", Reason.DURATION),
        ("2026-11-23 16:15:35 cust_5 /api 200 1e3", Reason.DURATION),
        ("2026-11-23 16:15:35 cust_5 /api 200 nan", Reason.DURATION),
        ("2026-11-23 16:15:35 cust_5 /api 200 .5", Reason.DURATION),
        ("2026-11-23 16:15:35 cust_5 /api 200 86400.0001", Reason.DURATION),
        ("2026-11-23 16:15:35 cu\x00st /api 200 0.1", Reason.CONTROL_CHARACTER),
        ("2026-11-23 16:15:35 cu\x85st /api 200 0.1", Reason.CONTROL_CHARACTER),
        ("2026-11-23 16:15:35 cu\tst /api 200 0.1", Reason.CONTROL_CHARACTER),
        ("2026-11-23 16:15:35 cu\x7fst /api 200 0.1", Reason.CONTROL_CHARACTER),
        ("2026-11-23 16:15:35\x1fcust /api 200 0.1", Reason.CONTROL_CHARACTER),
        ("2026-11-23 16:15:35 cust /a\rb 200 0.1", Reason.CONTROL_CHARACTER),
        (f"2026-11-23 16:15:35 {'ü' * 129} /api 200 0.1", Reason.CUSTOMER),
        (f"2026-11-23 16:15:35 cust /{'p' * 65_536} 200 0.1", Reason.TOO_LONG),
    ],
)
def test_a_bad_line_has_one_reason(line: str, reason: Reason) -> None:
    found, rejected, *_ = parse(GOOD + line.encode() + b"\n" + GOOD)
    assert len(found) == 2
    assert [(bad.offset, bad.reason, bad.line) for bad in rejected] == [(len(GOOD), reason, line.encode())]


def test_a_customer_may_have_256_bytes_and_a_line_64_kib() -> None:
    customer = f"2026-11-23 16:15:35 {'ü' * 128} /api 200 0.1\n"
    start = "2026-11-23 16:15:35 cust /"
    line = f"{start}{'p' * (65_536 - len(start) - 8)} 200 0.1\n"
    assert len(line) == 65_537
    assert len(parse((customer + line).encode())[0]) == 2


def test_what_is_not_utf8_is_rejected_alone() -> None:
    found, rejected, *_ = parse(GOOD + GOOD.replace(b"cust", b"\xff") + GOOD)
    assert len(found) == 2
    assert [(bad.offset, bad.reason) for bad in rejected] == [(len(GOOD), Reason.NOT_UTF8)]


def test_days_before_the_oldest_kept_are_rejected() -> None:
    lines = GOOD + GOOD.replace(b"-23 ", b"-22 ")
    found, rejected, *_ = parse(lines, oldest_day=DAY)
    assert found.days == [DAY]
    assert [bad.reason for bad in rejected] == [Reason.TOO_OLD]


def test_lines_after_the_latest_second_are_rejected() -> None:
    lines = GOOD + GOOD.replace(b":35 ", b":36 ") + GOOD
    found, rejected, *_ = parse(lines, latest_second=DAY * 86_400 + 16 * 3_600 + 15 * 60 + 35)
    assert len(found) == 2
    assert [(bad.offset, bad.reason) for bad in rejected] == [(len(GOOD), Reason.TOO_NEW)]


@given(times, st.integers(0, 86_400_000))
def test_the_writer_writes_what_the_parser_reads(time: datetime, duration_ms: int) -> None:
    second = int(time.replace(tzinfo=timezone.utc).timestamp())
    found, rejected, *_ = parse(format_lines([second], ["cust_1"], ["/api"], [200], [duration_ms]))
    assert not rejected
    assert found.latencies == [duration_ms]
    assert found.seconds == [time.replace(tzinfo=timezone.utc).timestamp()]


def test_reasons_fit_in_a_log_line() -> None:
    assert all(re.fullmatch("[a-z0-9_]+", reason.value) for reason in Reason)
