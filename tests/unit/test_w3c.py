"""The W3C's extended log format, as CloudFront and IIS write it: its columns may change."""

from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from following import DAY, Follower, Line, Log, Place, Time, write_and_follow
from linear import assert_linear
from log_processor.format_settings import LogFormat
from request_log.formats import w3c
from request_log.framing.framed import BYTE_ORDER_MARK
from request_log.framing.protocol import Contexts
from request_log.line import MAX_LINE_BYTES, Reason
from request_log.requests import Parsed

# https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/standard-logs-reference.html
CLOUDFRONT = (
    b"#Version: 1.0\n"
    b"#Fields: date time x-edge-location sc-bytes c-ip cs-method cs(Host) cs-uri-stem sc-status cs(Referer) "
    b"cs(User-Agent) cs-uri-query cs(Cookie) x-edge-result-type x-edge-request-id x-host-header cs-protocol cs-bytes "
    b"time-taken x-forwarded-for ssl-protocol ssl-cipher x-edge-response-result-type cs-protocol-version fle-status "
    b"fle-encrypted-fields c-port time-to-first-byte x-edge-detailed-result-type sc-content-type sc-content-len "
    b"sc-range-start sc-range-end\n"
    b"2019-12-04\t21:02:31\tLAX1\t392\t192.0.2.100\tGET\td111111abcdef8.cloudfront.net\t/index.html\t200\t-\t"
    b"Mozilla/5.0%20(Windows%20NT%2010.0;%20Win64;%20x64)\t-\t-\tHit\tSOX4xwn4XV6Q4rgb7XiVGOHms_BGlTAC4KyHmureZmBNrjGd"
    b"RLiNIQ==\td111111abcdef8.cloudfront.net\thttps\t23\t0.001\t-\tTLSv1.2\tECDHE-RSA-AES128-GCM-SHA256\tHit\tHTTP/2.0"
    b"\t-\t-\t11040\t0.001\tHit\ttext/html\t78\t-\t-\n"
    b"2019-12-13\t22:36:27\tSEA19-C1\t900\t192.0.2.200\tGET\td111111abcdef8.cloudfront.net\t/favicon%2520.ico\t000\t"
    b"http://www.example.com/\tMozilla/5.0\tq=a%2526b&c=%C3%BC\t-\tError\t1pkpNfBQ39sYMnjjUQjmH2w1wdJnbHYTbag21o_3OfcQ"
    b"gPzdL2RSSQ==\twww.example.com\thttp\t675\t0.102\t-\t-\t-\tError\tHTTP/1.1\t-\t-\t25260\t0.102\tOriginDnsError\t"
    b"text/html\t507\t-\t-\n"
)
# https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging: its columns may be chosen.
IIS = (
    b"#Software: Microsoft Internet Information Services 10.0\r\n"
    b"#Version: 1.0\r\n"
    b"#Date: 2026-11-28 10:00:00\r\n"
    b"#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port cs-username c-ip cs(User-Agent) cs(Referer) "
    b"sc-status sc-substatus sc-win32-status time-taken\r\n"
    b"2026-11-28 10:00:01 10.0.0.1 GET /orders/a%20b a=1 443 acme 192.0.2.7 Mozilla/5.0+(X11) - 200 0 0 15\r\n"
    b"#Software: Microsoft Internet Information Services 10.0\r\n"
    b"#Fields: time date sc-status sc-bytes cs-username cs-uri-stem\r\n"
    b"10:00:02 2026-11-28 500 1234 - /orders\r\n"
)


def parse(data: bytes, **how: str) -> Parsed:
    return LogFormat.model_validate({"log_format": "w3c", "log_drop_query": "no", **how}).parser()(data)


def found(parsed: Parsed) -> list[tuple[str, str, int, int, str, int]]:
    """Customer, path, status, latency (ms), method and size of each request."""
    requests = parsed.requests
    return list(
        zip(
            requests.customer_ids(),
            requests.request_paths(),
            requests.statuses.tolist(),
            requests.latencies.tolist(),
            requests.request_methods(),
            requests.sizes.tolist(),
            strict=True,
        )
    )


def test_lines_of_cloudfront_as_its_documentation_has_them() -> None:
    parsed = parse(CLOUDFRONT, log_customer_from="x-host-header")
    assert found(parsed) == [
        ("d111111abcdef8.cloudfront.net", "/index.html", 200, 1, "GET", 392),
        ("www.example.com", "/favicon%20.ico?q=a%26b&c=\u00fc", 0, 102, "GET", 900),
    ]
    assert (len(parsed.skipped), parsed.rejected) == (2, [])
    assert parsed.requests.seconds.tolist() == [1_575_493_351, 1_576_276_587]


def test_lines_of_iis_whose_columns_change() -> None:
    parsed = parse(IIS, log_duration_unit="ms")
    assert found(parsed) == [
        ("acme", "/orders/a%20b?a=1", 200, 15, "GET", -1),
        ("-", "/orders", 500, -1, "", 1234),
    ]
    assert len(parsed.skipped) == 6
    assert parsed.requests.offsets.tolist() == [IIS.index(b"2026-11-28 10:00:01"), IIS.index(b"10:00:02 2026")]


def test_lines_of_iis_as_its_documentation_has_them() -> None:
    # https://learn.microsoft.com/en-us/windows/win32/http/w3c-logging
    parsed = parse(
        b"#Software: Internet Information Services 6.0\n#Version: 1.0\n#Date: 2001-05-02 17:42:15\n"
        b"#Fields: date time c-ip cs-username s-ip s-port cs-method cs-uri-stem cs-uri-query sc-status "
        b"cs(User-Agent)\n"
        b"2001-05-02 17:42:15 172.22.255.255 - 172.30.255.255 80 GET /images/picture.jpg - 200 "
        b"Mozilla/4.0+(compatible;MSIE+5.5;+Windows+2000+Server)\n"
    )
    assert found(parsed) == [("-", "/images/picture.jpg", 200, -1, "GET", -1)]
    assert parsed.requests.seconds.tolist() == [988_825_335]


def test_the_customer_may_be_in_the_path_or_in_any_column() -> None:
    assert [row[0] for row in found(parse(IIS, log_customer_from="path:^/([^/?]+)"))] == ["orders", "orders"]
    assert [row[0] for row in found(parse(IIS, log_customer_from="C-IP"))] == ["192.0.2.7", "-"]


FIELDS = b"#Fields: date time cs-username cs-uri-stem sc-status\n"
LINE = b"2026-11-28 10:00:01 acme /orders 200\n"


@pytest.mark.parametrize(
    "data",
    [
        LINE,
        b"#Version: 1.0\n" + LINE,
        b"#Fields: time cs-username cs-uri-stem sc-status\n10:00:01 acme /orders 200\n",
        b"#Fields: date time cs-username sc-status\n2026-11-28 10:00:01 acme 200\n",
        b"#Fields: date time cs-username cs-uri-stem\n2026-11-28 10:00:01 acme /orders\n",
        FIELDS + b"2026-11-28 10:00:01 acme /orders 200 5\n",
        FIELDS + b"2026-11-28 10:00:01 acme /orders\n",
        FIELDS + b"2026-11-28 10:00:01 acme  200\n",
        FIELDS + b"2026-11-28\t10:00:01 acme /orders 200\n",
    ],
)
def test_lines_that_are_not_of_the_columns_in_force_are_rejected(data: bytes) -> None:
    parsed = parse(data)
    assert not parsed.requests
    assert [line.reason for line in parsed.rejected] == [Reason.FIELDS]


def test_quoted_values() -> None:
    data = FIELDS + b'2026-11-28 10:00:01 "ac me ""x""" "/orders" 200\n'
    assert [row[:2] for row in found(parse(data))] == [('ac me "x"', "/orders")]


def test_a_byte_order_mark_is_before_the_columns() -> None:
    assert found(parse(BYTE_ORDER_MARK + FIELDS + LINE)) == found(parse(FIELDS + LINE))


def test_a_line_that_is_too_long_says_nothing_of_columns() -> None:
    parsed = parse(FIELDS + b"#Fields: " + b"x " * (MAX_LINE_BYTES // 2) + b"\n" + LINE)
    assert (len(parsed.requests), [line.reason for line in parsed.rejected]) == (1, [Reason.TOO_LONG])


@given(
    st.text(st.sampled_from(list('" \t#%\\-a')), min_size=1, max_size=4), st.sampled_from(["", '"', '" /orders 200'])
)
def test_a_line_costs_no_more_than_a_multiple_of_its_bytes(unit: str, end: str) -> None:
    assert_linear(
        parse, lambda length: FIELDS + (LINE[:20].decode() + unit * (length // len(unit)) + end + "\n").encode()
    )


def test_lines_that_say_what_columns_are_cost_no_more_either() -> None:
    assert_linear(parse, lambda length: b"#Fields: a\n#Fields: b\n" * (length // 10))


ODD_VALUES = [b"", b"-", b"\r", b'"', b'"a b"', b"%41", b"\xff", b"2026-11-28", b"10:00:01"]


@given(
    st.sampled_from([FIELDS, FIELDS.replace(b"date", b"x-edge-location date")]),
    st.lists(
        st.lists(st.sampled_from(ODD_VALUES), max_size=7)
        | st.sampled_from([LINE[:-1].split(b" "), (b"x " + LINE[:-1] + b"\r").split(b" ")]),
        max_size=6,
    ),
    st.sampled_from([b" ", b"\t"]),
)
def test_many_lines_mean_what_each_does(fields: bytes, lines: list[list[bytes]], separator: bytes) -> None:
    texts = [separator.join(line) + b"\n" for line in lines]
    expected = [judged(text, context=fields[:-1].decode()).values() for text in texts]
    assert list(judged(b"".join(texts), context=fields[:-1].decode()).values()) == [*chain(*expected)]


COLUMNS = ["date", "time", "cs-username", "cs-uri-stem", "sc-status", "x-a"]
VALUES = {"date": "2026-11-28", "time": "10:00:01", "cs-uri-stem": "/orders", "sc-status": "200", "x-a": "x"}


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file in which columns change. The customer of each line is its number."""
    data = draw(st.sampled_from([b"", b"#Version: 1.0\n", BYTE_ORDER_MARK + b"#Version: 1.0\n"]))
    columns = COLUMNS
    for number in range(draw(st.integers(0, 8))):
        if draw(st.booleans()):
            columns = draw(st.permutations(COLUMNS))
            # Where files were put together, there is a mark in the middle.
            data += draw(st.sampled_from([b"", BYTE_ORDER_MARK]))
            data += f"#Fields: {' '.join(columns)}\n".encode()
        data += " ".join({**VALUES, "cs-username": str(number)}[name] for name in columns).encode() + b"\n"
    return data


PARSER = LogFormat(log_format="w3c").parser()


def judged(data: bytes, number: int = 0, start: int = 0, context: str = "") -> dict[Place, Line]:
    """What becomes of each line: whose request it is, or why it is none."""
    requests, rejected, skipped, _ = PARSER.parse(data, start, 0, 10**10, context)
    lines: dict[Place, Line] = {(number, place): b"skipped" for place in skipped}
    lines |= {(number, line.offset): line.reason.value.encode() for line in rejected}
    for place, customer in zip(requests.offsets.tolist(), requests.customer_ids(), strict=True):
        lines[number, place] = customer.encode()
    return dict(sorted(lines.items()))


@given(files(), st.data())
def test_a_file_may_be_cut_anywhere(data: bytes, draw: st.DataObject) -> None:
    read = lambda size, at: data[at : at + size]  # noqa: E731
    contexts = Contexts(w3c.FRAMING, read)
    lines: dict[Place, Line] = {}
    start, context = 0, ""
    while start < len(data):
        end = data.index(b"\n", draw.draw(st.integers(start, len(data) - 1))) + 1
        lines |= judged(data[start:end], start=start, context=context)
        context = w3c.FRAMING.after(data[start:end], context, start == 0)
        start = end
        assert context == w3c.FRAMING.context_at(read, start) == contexts.at(start)
    assert lines == judged(data)


class JudgingFollower(Follower):
    """Keeps what becomes of the lines."""

    def lines_of_part(self, data: bytes, number: int, start: int, context: str) -> dict[Place, Line]:
        return judged(data, number, start, context)


@settings(max_examples=30)
@given(st.lists(files().filter(bool), min_size=1, max_size=2, unique=True), st.data())
def test_however_it_is_read_and_whenever_the_reader_dies(of_files: list[bytes], draw: st.DataObject) -> None:
    with TemporaryDirectory() as folder, ExitStack() as stack:
        log = Log(Path(folder, "log"), Time())
        follower: Follower = JudgingFollower(log.path, log.time, framing=w3c.FRAMING)
        stack.callback(lambda: follower.close())
        for data in of_files:
            if log.path.exists():
                follower.drain()
                log.shift()
            follower = write_and_follow(draw, log, follower, data)
        follower.drain()
        log.shift()
        follower.pass_time(DAY)
        assert follower.lines == {
            place: line for number, data in enumerate(of_files) for place, line in judged(data, number).items()
        }


@pytest.mark.parametrize("is_known", [False, True])
def test_the_columns_in_force_are_known_in_the_middle_of_a_file(tmp_path: Path, is_known: bool) -> None:
    log = Log(tmp_path / "log", Time())
    log.write(FIELDS + LINE)
    follower: Follower = JudgingFollower(
        log.path, log.time, start="beginning" if is_known else "end", framing=w3c.FRAMING
    )
    before = judged(FIELDS + LINE) if is_known else {}
    follower.drain().close()
    log.rename("log.1")
    log.write(LINE, "log.1")
    log.write(LINE)
    follower = JudgingFollower(log.path, log.time, follower.stored, framing=w3c.FRAMING).drain()
    (rotated,) = [row for row in follower.stored.files.values() if row.path.endswith(".1")]
    assert rotated.context.encode() + b"\n" == FIELDS
    assert follower.lines == {**before, (0, len(FIELDS + LINE)): b"acme", (1, 0): b"fields"}
    follower.close()
