"""What values of a request mean where a format is not strict."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from request_log.fields.duration import Durations
from request_log.fields.escapes import printable, text_of, unescaped
from request_log.fields.values import SIZES, STATUSES, request_line
from request_log.line import MAX_DURATION_SECONDS, Mended
from request_log.requests import NONE


@pytest.mark.parametrize(
    ("text", "unit", "seconds", "milliseconds"),
    [
        ("0.772", "s", "0.772", 772),
        ("0.0005", "s", "0.0005", 1),
        ("12.5 ms", "s", "0.0125", 13),
        ("12.5ms", "s", "0.0125", 13),
        ("143.211\u00b5s", "s", "0.000143211", 0),
        ("1m2s", "s", "62", 62_000),
        ("1h0m0s", "s", "3600", 3_600_000),
        ("1m2.5s", "ns", "62.5", 62_500),
        (".5", "s", "0.5", 500),
        ("5.", "s", "5", 5_000),
        ("1e-05", "s", "0.00001", 0),
        ("1E1", "ms", "0.01", 10),
        ("0,123", "s", "0.123", 123),
        ("0,5 ms", "s", "0.0005", 1),
        ("250", "us", "0.000250", 0),
        ("86400", "s", "86400", 86_400_000),
        ("0/184512", "s", "0.184512", 185),
        ("2/2184512", "us", "2.184512", 2_185),
    ],
)
def test_a_duration_is_understood(text: str, unit: str, seconds: str, milliseconds: int) -> None:
    assert Durations(unit)[text] == (seconds, milliseconds, False)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.001, 0.002", "0.001"),
        ("0.001 : 0.002", "0.001"),
        ("-, 0.5 : 0.25", "0.5"),
        ("-1, 1ms", "0.001"),
        ("-, -", ""),
    ],
)
def test_of_several_durations_the_first_number_counts_and_is_told(text: str, seconds: str) -> None:
    assert Durations("s")[text][0] == seconds
    assert Durations("s")[text].is_mended


@pytest.mark.parametrize("text", ["", "-"])
def test_a_duration_that_was_not_logged_is_none(text: str) -> None:
    assert Durations("s")[text] == ("", NONE, False)


@pytest.mark.parametrize(
    "text",
    [
        *["-1", "-0.001", "90000.5", "86400.001", "25h", "1.2.3", "0.1 0.2", "1,2,3", "text", "nan", "inf", "1e999"],
        *["9" * 60_000, "1e-999999999", "1d", " 1", "+1", "0x1", "1 m", chr(0x661)],
    ],
)
def test_a_duration_that_is_not_understood_is_none_and_told(text: str) -> None:
    assert Durations("s")[text] == ("", NONE, True)


@pytest.mark.parametrize(
    ("texts", "seconds", "is_mended"),
    [
        (("0.001", "0.048", "0.000"), "0.049", False),
        (("0.001", "-1", "-1"), "", True),
        (("0.001", "-", "0.1"), "", False),
        (("0.001", "", ""), "0.001", False),
        (("", "", ""), "", False),
        (("80000", "6400.001"), "", True),
    ],
)
def test_several_durations_are_added_where_each_is_known(texts: tuple[str, ...], seconds: str, is_mended: bool) -> None:
    total = Durations("s").total(texts)
    assert (total.seconds, total.is_mended) == (seconds, is_mended)


@given(st.decimals(0, MAX_DURATION_SECONDS, places=9), st.sampled_from(["s", "ms", "us", "ns"]), st.booleans())
def test_a_duration_means_the_same_in_every_unit(seconds: Decimal, unit: str, is_named: bool) -> None:
    number = seconds * {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    found = Durations("s" if is_named else unit)[f"{number:f}{unit if is_named else ''}"]
    assert Decimal(found.seconds) == seconds
    assert found.milliseconds == int(seconds * 1000 + Decimal("0.5"))


@given(st.text())
def test_whatever_a_duration_says_it_is_known_or_none(text: str) -> None:
    found = Durations("s")[text]
    if found.seconds:
        assert 0 <= Decimal(found.seconds) <= MAX_DURATION_SECONDS
    else:
        assert found.milliseconds == NONE


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *[("200", 200), ("200.0", 200), ("999", 999), ("100", 100), ("502, 200", -200), ("502 : 200", -200)],
        *[("-", 0), ("0", 0), ("000", 0), ("-1", 0), ("", 0), ("099", 0), ("1000", 0), ("200.5", 0), ("ok", 0)],
        *[("200, -", 0), ("\u0662\u0660\u0660", 0)],
    ],
)
def test_a_status_is_one_of_three_digits_or_none(text: str, status: int) -> None:
    assert STATUSES[text] == status


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("612", 612), ("-", NONE), ("", NONE), ("1.5", NONE), ("-1", NONE), ("9" * 16, NONE)]
)
def test_a_size_is_a_number_of_bytes_or_none(text: str, size: int) -> None:
    assert SIZES[text] == size


@pytest.mark.parametrize(
    ("request_text", "method", "path"),
    [
        ("GET /a?b=1 HTTP/1.1", "GET", "/a?b=1"),
        ("GET /a b c HTTP/2.0", "GET", "/a b c"),
        ("GET /", "GET", "/"),
        ("GET", "GET", ""),
        ("-", "", ""),
        ("", "", ""),
        ("\\x16\\x03\\x01", "", ""),
        ("M-SEARCH * HTTP/1.1", "M-SEARCH", "*"),
        (f"{'G' * 33} / HTTP/1.1", "", ""),
    ],
)
def test_a_request_line_has_method_and_path(request_text: str, method: str, path: str) -> None:
    assert request_line(request_text) == (method, path)


@pytest.mark.parametrize(
    ("logged", "shown", "mended"),
    [
        ("M\\xC3\\xBCller", "M\u00fcller", ()),
        ("M\\xc3\\xbcller\\x09GmbH", "M\u00fcller\\x09GmbH", (Mended.CONTROL_CHARACTER,)),
        ('a\\tb\\\\c\\"', 'a\\x09b\\c"', (Mended.CONTROL_CHARACTER,)),
        ("a\\xff\\xFEb", "a\\xFF\\xFEb", (Mended.ENCODING,)),
        ("\\xff\\x00", "\\xFF\\x00", (Mended.ENCODING, Mended.CONTROL_CHARACTER)),
        ("\x85", "\\xC2\\x85", (Mended.CONTROL_CHARACTER,)),
    ],
)
def test_what_cannot_be_shown_is_written_as_nginx_does(logged: str, shown: str, mended: tuple[Mended, ...]) -> None:
    assert printable(unescaped(logged)) == (shown, mended)


@given(st.binary(max_size=20))
def test_bytes_are_shown_the_same_whether_they_were_escaped_or_not(data: bytes) -> None:
    escaped = "".join(f"\\x{byte:02X}" for byte in data)
    shown, mended = printable(text_of(data))
    assert printable(unescaped(escaped)) == (shown, mended)
    assert bool(mended) != (shown.encode() == data)
