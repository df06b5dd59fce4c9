"""Logs in other formats than ours, in lines as servers and frameworks write them."""

import json
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from linear import assert_linear
from log_processor.format_settings import LogFormat
from request_log.formats.access_log import Combined
from request_log.formats.json_lines import JsonLines
from request_log.formats.line_by_line import DivideChunk, LineByLine
from request_log.line import Mended, Reason
from request_log.requests import NONE, Parser, Requests

Request = tuple[str, str, str, int, "str | None"]
"""Time (ISO 8601, in UTC), customer, path, status, duration (s)."""

ENVOY = (
    r'\[(?P<time>[^\]]+)\] "\S+ (?P<path>\S+) [^"]*" (?P<status>\d+) \S+ \d+ \d+ (?P<duration>\d+) \S+ "[^"]*" '
    r'"[^"]*" "[^"]*" "(?P<customer>[^"]*)".*'
)
HAPROXY = (
    r"\S+ \[(?P<time>[^\]]+)\] \S+ \S+ [\d/+-]+/(?P<duration>\d+) (?P<status>\d+) .* \{(?P<customer>[^}]*)\} "
    r'"\S+ (?P<path>\S+) [^"]*"'
)
GIN = r'\[GIN\] (?P<time>.{21}) \| (?P<status>\d+) \| +(?P<duration>\S+) \| +(?P<customer>\S+) \| \S+ +"(?P<path>.*)"'
BALANCER = (
    r"https? (?P<time>\S+) \S+ \S+ \S+ \S+ (?P<duration>\S+) \S+ (?P<status>\d+) \S+ \S+ \S+ "
    r'"\S+ https?://[^/]+(?P<path>\S*) [^"]*".*'
)
PINO = "path=req.url,customer=req.headers.x-customer,status=res.statusCode,duration=responseTime"
CADDY = "time=ts,path=request.uri,customer=request.headers.X-Customer"
TRAEFIK = "time=StartUTC,path=RequestPath,customer=ClientUsername,status=DownstreamStatus,duration=Duration"
ECS = "time=@timestamp,path=url.path,customer=user.name,status=http.response.status_code,duration=event.duration"

LINES: dict[str, tuple[dict[str, str], str, Request]] = {
    "nginx, combined": (
        {"log_format": "combined"},
        '203.0.113.7 - acme [25/Nov/2026:13:00:01 +0100] "GET /api/v1/orders?page=2 HTTP/1.1" 200 612 "-" "curl/8.5.0"',
        ("2026-11-25T12:00:01", "acme", "/api/v1/orders?page=2", 200, None),
    ),
    "nginx, combined with $request_time": (
        {"log_format": "combined"},
        '::1 - acme [25/Nov/2026:12:00:01 +0000] "GET / HTTP/2.0" 404 0 "https://a.example/" "Mozilla/5.0 (X11)" 0.123',
        ("2026-11-25T12:00:01", "acme", "/", 404, "0.123"),
    ),
    "nginx, a header after combined": (
        {"log_format": "combined", "log_customer_from": "extra2"},
        '::1 - - [25/Nov/2026:12:00:01 +0000] "GET / HTTP/1.1" 200 0 "-" "curl/8.5.0" "-" "M\\xC3\\xBCller GmbH" 0.5',
        ("2026-11-25T12:00:01", "Müller GmbH", "/", 200, "0.5"),
    ),
    "nginx, the customer is a part of the path": (
        {"log_format": "combined", "log_customer_from": "path:^/tenants/([^/?]+)"},
        '::1 - bob [25/Nov/2026:12:00:01 +0000] "PUT /tenants/acme/orders/7 HTTP/1.1" 201 0 "-" "-" 0.000',
        ("2026-11-25T12:00:01", "acme", "/tenants/acme/orders/7", 201, "0.000"),
    ),
    "nginx, another path": (
        {"log_format": "combined", "log_customer_from": "path:^/tenants/([^/?]+)"},
        '::1 - bob [25/Nov/2026:12:00:01 +0000] "GET /health HTTP/1.1" 200 0 "-" "-" 0.000',
        ("2026-11-25T12:00:01", "-", "/health", 200, "0.000"),
    ),
    "nginx, TLS where there is none": (
        {"log_format": "combined", "log_customer_from": "remote_addr"},
        '203.0.113.7 - - [25/Nov/2026:12:00:01 +0000] "\\x16\\x03\\x01\\x02\\x00\\x01" 400 157 "-" "-"',
        ("2026-11-25T12:00:01", "203.0.113.7", "-", 400, None),
    ),
    "nginx, a quotation mark in the path": (
        {"log_format": "combined"},
        '::1 - - [25/Nov/2026:12:00:01 +0000] "GET /a\\x22b c HTTP/1.1" 200 1 "-" "x"',
        ("2026-11-25T12:00:01", "-", '/a"b c', 200, None),
    ),
    "nginx, JSON": (
        {"log_format": "json", "log_json_fields": "customer=tenant"},
        '{"time":"2026-11-25T13:00:01+01:00","tenant":"acme","path":"/a","status":200,"duration":0.004,"agent":"c"}',
        ("2026-11-25T12:00:01", "acme", "/a", 200, "0.004"),
    ),
    "nginx, $msec": (
        {"log_format": "regex", "log_pattern": r"(?P<time>\S+) (?P<customer>\S+) (?P<path>\S+) (?P<status>\d+)"},
        "1795608001.250 acme /a 200",
        ("2026-11-25T12:00:01.250", "acme", "/a", 200, None),
    ),
    "Apache, common": (
        {"log_format": "common"},
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326',
        ("2000-10-10T20:55:36", "frank", "/apache_pb.gif", 200, None),
    ),
    "Apache, common with %D": (
        {"log_format": "common", "log_duration_unit": "us"},
        '127.0.0.1 - "" [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 304 - 23267',
        ("2000-10-10T20:55:36", "-", "/", 304, "0.023267"),
    ),
    "Apache, a user with a space, and no request": (
        {"log_format": "common"},
        '127.0.0.1 - John Doe [10/Oct/2000:13:55:36 -0700] "-" 408 -',
        ("2000-10-10T20:55:36", "John Doe", "-", 408, None),
    ),
    "Apache, combined": (
        {"log_format": "combined"},
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /\\"a HTTP/1.0" 200 2326 "http://a/\\"b" "Mozilla/4.08"',
        ("2000-10-10T20:55:36", "frank", '/"a', 200, None),
    ),
    "gunicorn": (
        {"log_format": "combined"},
        '127.0.0.1 - - [25/Nov/2026:12:00:01 +0000] "GET /a HTTP/1.1" 200 2 "-" "curl/8.5.0" 0.001234',
        ("2026-11-25T12:00:01", "-", "/a", 200, "0.001234"),
    ),
    "Werkzeug": (
        {"log_format": "common"},
        '127.0.0.1 - - [25/Nov/2026 12:00:01] "GET /a HTTP/1.1" 200 -',
        ("2026-11-25T12:00:01", "-", "/a", 200, None),
    ),
    "pino-http": (
        {"log_format": "json", "log_json_fields": PINO, "log_duration_unit": "ms"},
        '{"level":30,"time":1795608001123,"pid":7,"req":{"id":1,"method":"GET","url":"/a","headers":{"host":"a",'
        '"x-customer":"acme"}},"res":{"statusCode":200,"headers":{}},"responseTime":12.5,"msg":"request completed"}',
        ("2026-11-25T12:00:01.123", "acme", "/a", 200, "0.0125"),
    ),
    "Caddy": (
        {"log_format": "json", "log_json_fields": CADDY},
        '{"level":"info","ts":1795608001.5241024,"logger":"http.log.access","msg":"handled request","request":'
        '{"remote_ip":"::1","method":"GET","uri":"/a","headers":{"X-Customer":["acme"]}},"bytes_read":0,"user_id":"",'
        '"duration":0.000929675,"size":10900,"status":200}',
        ("2026-11-25T12:00:01.524", "acme", "/a", 200, "0.000929675"),
    ),
    "Traefik": (
        {"log_format": "json", "log_json_fields": TRAEFIK, "log_duration_unit": "ns"},
        '{"ClientUsername":"-","DownstreamStatus":502,"Duration":1500250,"RequestPath":"/a","StartUTC":'
        '"2026-11-25T12:00:01.999999999Z","level":"info","time":"2026-11-25T12:00:02Z"}',
        ("2026-11-25T12:00:01.999", "-", "/a", 502, "0.001500250"),
    ),
    "Elastic Common Schema, with names that have dots": (
        {"log_format": "json", "log_json_fields": ECS, "log_duration_unit": "ns"},
        '{"@timestamp":"2026-11-25T12:00:01.000Z","url.path":"/a","user":{"name":"acme"},'
        '"http":{"response.status_code":200},"event.duration":"7000000"}',
        ("2026-11-25T12:00:01.000", "acme", "/a", 200, "0.007000000"),
    ),
    "names that JSON escapes": (
        {"log_format": "json", "log_json_fields": 'time=a"t,status=c\\d|x'},
        r'{"a\"t":"2026-11-25T12:00:01Z","customer":"acme","path":"/a","c\\d":200,"duration":0.5}',
        ("2026-11-25T12:00:01", "acme", "/a", 200, "0.5"),
    ),
    "lograge": (
        {"log_format": "json", "log_duration_unit": "ms"},
        '{"method":"GET","path":"/a","status":500,"duration":58.33,"time":"2026-11-25 12:00:01 UTC","customer":42}',
        ("2026-11-25T12:00:01", "42", "/a", 500, "0.05833"),
    ),
    "Envoy": (
        {"log_format": "regex", "log_pattern": ENVOY, "log_duration_unit": "ms"},
        '[2026-11-25T12:00:01.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28" "nsq2http" '
        '"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"',
        ("2026-11-25T12:00:01.310", "locations", "/api/v1/locations", 204, "0.226"),
    ),
    "HAProxy": (
        {"log_format": "regex", "log_pattern": HAPROXY, "log_duration_unit": "ms"},
        "10.0.1.2:33317 [25/Nov/2026:12:00:01.655] http-in static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "
        '{acme} "GET /index.html HTTP/1.1"',
        ("2026-11-25T12:00:01.655", "acme", "/index.html", 200, "0.109"),
    ),
    "Gin": (
        {"log_format": "regex", "log_pattern": GIN},
        '[GIN] 2026/11/25 - 12:00:01 | 200 |     143.211\u00b5s |       127.0.0.1 | GET      "/ping"',
        ("2026-11-25T12:00:01", "127.0.0.1", "/ping", 200, "0.000143211"),
    ),
    "a load balancer": (
        {"log_format": "regex", "log_pattern": BALANCER, "log_customer_from": "path:^/([^/]+)"},
        "https 2026-11-25T12:00:01.186641Z app/lb/50dc 192.0.2.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57 "
        '"GET https://www.example.com:443/acme/a HTTP/1.1" "curl/7.46.0" - -',
        ("2026-11-25T12:00:01.186", "acme", "/acme/a", 200, "0.048"),
    ),
}


def parser(**settings: str) -> Parser:
    return LogFormat(log_drop_query="no", **settings).parser()  # type: ignore[arg-type]


def requests_of(found: Requests) -> list[Request]:
    times = [
        datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
        + (f".{millisecond:03d}" if millisecond != NONE else "")
        for second, millisecond in zip(found.seconds.tolist(), found.milliseconds.tolist(), strict=True)
    ]
    columns = (found.request_paths(), found.statuses.tolist(), [duration or None for duration in found.durations])
    return list(zip(times, found.customer_ids(), *columns, strict=True))


@pytest.mark.parametrize("name", LINES)
def test_a_real_line_is_understood(name: str) -> None:
    settings, line, request = LINES[name]
    found, rejected, *_ = parser(**settings)(f"{line}\n{line}\r\n".encode(), 1_000, 0)
    assert not rejected
    assert requests_of(found) == [request, request]
    assert found.offsets.tolist() == [1_000, 1_001 + len(line.encode())]
    duration = request[-1]
    assert found.latencies[0] == (NONE if duration is None else int(Decimal(duration) * 1000 + Decimal("0.5")))


COMBINED = '::1 - acme [25/Nov/2026:12:00:01 +0000] "GET / HTTP/1.1" 200 0 "-" "curl/8.5.0"'
OBJECT = '{"time":"2026-11-25T12:00:01Z","customer":"acme","path":"/","status":200,"duration":0.1}'


@pytest.mark.parametrize(
    ("log_format", "line", "reason"),
    [
        ("combined", "", Reason.EMPTY),
        ("combined", "\r", Reason.EMPTY),
        ("combined", COMBINED.replace('"-" ', ""), Reason.FIELDS),
        ("combined", COMBINED + " 0.1 x", Reason.FIELDS),
        ("combined", COMBINED + " text", Reason.FIELDS),
        ("combined", COMBINED.replace("Nov", "Nox"), Reason.TIME),
        ("combined", COMBINED.replace("25/Nov", "31/Nov"), Reason.TIME),
        ("combined", COMBINED.replace("12:00:01", "24:00:01"), Reason.TIME),
        ("combined", COMBINED.replace("+0000", "+2500"), Reason.TIME),
        ("combined", COMBINED.replace("2026", "1969"), Reason.TIME),
        ("combined", COMBINED.replace("acme", "a" * 257), Reason.CUSTOMER),
        ("combined", COMBINED.replace("acme", "a" * 253 + "\x01"), Reason.CUSTOMER),
        ("combined", f"shop.example.net:443 {COMBINED}", Reason.FIELDS),
        ("combined", f"Nov 28 10:00:01 web1 nginx: {COMBINED}", Reason.FIELDS),
        ("combined", f"2026-11-28T10:00:01.123456789Z stdout F {COMBINED}", Reason.FIELDS),
        ("combined", f"192.0.2.7, {COMBINED}", Reason.FIELDS),
        ("combined", f"192.0.2.7,{COMBINED}", Reason.FIELDS),
        ("combined", COMBINED.replace("- acme", "-  acme"), Reason.FIELDS),
        ("combined", COMBINED.replace("acme [", "acme  ["), Reason.FIELDS),
        ("combined", COMBINED.replace("- acme ", "-  -  "), Reason.FIELDS),
        ("combined", COMBINED.replace("- acme", "acme"), Reason.FIELDS),
        ("combined", COMBINED.replace(" 200 ", "  200 "), Reason.FIELDS),
        ("combined", COMBINED.replace(" 200 ", " "), Reason.FIELDS),
        ("combined", COMBINED.replace('"-"', '"-" 0.1'), Reason.FIELDS),
        ("combined", COMBINED + "x" * 65_536, Reason.TOO_LONG),
        ("common", COMBINED, Reason.FIELDS),
        ("json", "{}", Reason.TOO_SHORT),
        ("json", "[1, 2, 3, 4, 5, 6, 7]", Reason.FIELDS),
        ("json", OBJECT[:-1], Reason.FIELDS),
        ("json", OBJECT + OBJECT, Reason.FIELDS),
        ("json", OBJECT.replace(":", ";"), Reason.FIELDS),
        ("json", OBJECT.replace('"acme"', '{"a":1}'), Reason.FIELDS),
        ("json", OBJECT.replace('"acme"', "true"), Reason.FIELDS),
        ("json", OBJECT.replace("2026-11-25T12:00:01Z", "yesterday"), Reason.TIME),
        ("json", OBJECT.replace('"time"', '"when"'), Reason.TIME),
    ],
)
def test_a_line_that_is_not_understood_costs_only_itself(log_format: str, line: str, reason: Reason) -> None:
    good = {"common": COMBINED.partition(' "-"')[0], "combined": COMBINED, "json": OBJECT}[log_format] + "\n"
    found, rejected, *_ = parser(log_format=log_format)((good + line + "\n" + good).encode(), 0, 0)
    assert len(found) == 2
    assert [(bad.offset, bad.reason, bad.line) for bad in rejected] == [(len(good), reason, line.encode())]


def test_a_message_of_a_program_is_no_failed_request() -> None:
    message = b'{"level":"info","time":"2026-11-25T12:00:01Z","customer":"acme","msg":"listening"}\n'
    none_logged = b'{"time":"2026-11-25T12:00:01Z","customer":"acme","status":%s,"msg":"x"}\n'
    for parse in (parser(log_format="json"), parser(log_format="json", log_json_fields="request=r")):
        found, rejected, *_ = parse(message + OBJECT.encode() + b"\n" + message)
        assert len(found) == 1
        assert [line.reason for line in rejected] == [Reason.FIELDS] * 2
        found, rejected, *_ = parse(b"".join(none_logged % value for value in (b"200", b"null", b'""', b"0", b"[]")))
        assert found.statuses.tolist() == [200, 0, 0, 0, 0]
        assert not rejected


@pytest.mark.parametrize(
    "value",
    [
        *[
            b"NaN",
            b"-Infinity",
            b"-",
            b"",
            b"0.001, 0.002",
            b"01",
            b'"a\tb"',
            b'"\xff\xfe"',
            b'"\\ud800"',
            b'"\\x22\\xC3"',
            b'"\x00"',
        ],
        *[
            b"[" * 20_000 + b"]" * 20_000,
            b'{"a":' * 9_000 + b"1" + b"}" * 9_000,
            b"1" * 50_000,
            b"1e999",
            b'{"time":NaN}',
        ],
    ],
    ids=lambda value: repr(value[:12]),
)
def test_a_member_that_nobody_asked_for_never_matters(value: bytes) -> None:
    line = OBJECT.encode()[:-1] + b',"other":' + value + b"}\n"
    found, rejected, skipped, mended = parser(log_format="json")(line + OBJECT.encode() + b"\n")
    assert requests_of(found) == [("2026-11-25T12:00:01", "acme", "/", 200, "0.1")] * 2
    assert (rejected, skipped, mended) == ([], [], [])


@pytest.mark.parametrize(
    ("log_format", "line", "fields", "mended"),
    [
        ("combined", COMBINED.replace(" 200 ", " 000 "), ("acme", "/", 0, None), [Mended.STATUS]),
        ("combined", COMBINED.replace(" 200 ", " - "), ("acme", "/", 0, None), [Mended.STATUS]),
        ("combined", COMBINED + " 1.2.3", ("acme", "/", 200, None), [Mended.DURATION]),
        ("combined", COMBINED + " 0.001, 0.002", ("acme", "/", 200, "0.001"), [Mended.DURATION]),
        *(
            ("combined", COMBINED + tail, ("acme", "/", 200, duration), [Mended.DURATION])
            for tail, duration in {
                " 0.004 0.001": "0.004",
                " 0.004 0.001, 0.002 : -": "0.004",
                " 0.004 -": "0.004",
                " - 0.003": "0.003",
                " 0.004 0.001 .": "0.004",
                " 12.5 ms 3 ms": "0.0125",
                ' 0.004 0.001 "acme" "x"': "0.004",
            }.items()
        ),
        ("combined", COMBINED + " -", ("acme", "/", 200, None), []),
        ("combined", COMBINED.replace("acme", "a\tb"), ("a\\x09b", "/", 200, None), [Mended.CONTROL_CHARACTER]),
        ("combined", COMBINED.replace("acme", "a\\x09b"), ("a\\x09b", "/", 200, None), [Mended.CONTROL_CHARACTER]),
        ("combined", COMBINED.replace("acme", "a\udcff"), ("a\\xFF", "/", 200, None), [Mended.ENCODING]),
        ("combined", COMBINED.replace("curl", "\udcff\t"), ("acme", "/", 200, None), []),
        ("combined", COMBINED.replace("acme", "John Doe"), ("John Doe", "/", 200, None), []),
        ("json", OBJECT.replace("200", "null"), ("acme", "/", 0, "0.1"), [Mended.STATUS]),
        ("json", OBJECT.replace("200", "200.0"), ("acme", "/", 200, "0.1"), []),
        ("json", OBJECT.replace("200", '"502, 404"'), ("acme", "/", 404, "0.1"), [Mended.STATUS]),
        ("json", OBJECT.replace("0.1", "-1"), ("acme", "/", 200, None), [Mended.DURATION]),
        ("json", OBJECT.replace("0.1", "NaN"), ("acme", "/", 200, None), [Mended.DURATION]),
        ("json", OBJECT.replace("0.1", "true"), ("acme", "/", 200, None), [Mended.DURATION]),
        ("json", OBJECT.replace("0.1", "1e-05"), ("acme", "/", 200, "0.00001"), []),
        ("json", OBJECT.replace('"acme"', '["","acme","b"]'), ("acme", "/", 200, "0.1"), []),
        ("json", OBJECT.replace('"acme"', "[]"), ("-", "/", 200, "0.1"), []),
        ("json", OBJECT.replace('"acme"', '"a\\u0009b"'), ("a\\x09b", "/", 200, "0.1"), [Mended.CONTROL_CHARACTER]),
        ("json", OBJECT.replace('"acme"', '"\\ud800"'), ("\\xED\\xA0\\x80", "/", 200, "0.1"), [Mended.ENCODING]),
        ("json", OBJECT.replace('"/"', '"/\\n"'), ("acme", "/\\x0A", 200, "0.1"), [Mended.CONTROL_CHARACTER]),
    ],
)
def test_no_value_rejects_a_request(
    log_format: str, line: str, fields: tuple[str, str, int, "str | None"], mended: list[Mended]
) -> None:
    parsed = parser(log_format=log_format)(line.encode(errors="surrogateescape") + b"\n")
    assert not parsed.rejected
    assert [found[1:] for found in requests_of(parsed.requests)] == [fields]
    assert [what for _, what in parsed.mended] == mended


def test_methods_and_sizes_are_found() -> None:
    lines = {
        "common": COMBINED.partition(' "-"')[0].replace(" 200 0", " 200 612"),
        "combined": COMBINED.replace(" 200 0", " 200 612"),
        "json": OBJECT.replace("}", ',"method":"GET","bytes":612}'),
    }
    for log_format, line in lines.items():
        found = parser(log_format=log_format)(f"{line}\n".encode()).requests
        assert (found.request_methods(), found.sizes.tolist()) == (["GET"], [612])
    expression = r'(?P<time>\S+) (?P<status>\d+) "(?P<request>.*)" (?P<duration>\S+) (?P<duration_2>\S+) (?P<bytes>\d+)'
    parse = parser(log_format="regex", log_pattern=expression)
    found = parse(b'1795608001 200 "GET /a HTTP/1.1" 0.25 0.5 612\n').requests
    assert (found.request_methods(), found.request_paths(), found.sizes.tolist()) == (["GET"], ["/a"], [612])
    assert found.durations == ["0.75"]


def test_days_before_the_oldest_kept_are_rejected() -> None:
    found, rejected, *_ = parser(log_format="combined")(f"{COMBINED}\n".encode(), 0, 20_783)
    assert not found
    assert [bad.reason for bad in rejected] == [Reason.TOO_OLD]
    assert len(parser(log_format="combined")(f"{COMBINED}\n".encode(), 0, 20_782)[0]) == 1


def test_lines_after_the_latest_second_are_rejected() -> None:
    parse = parser(log_format="combined")
    found, *_ = parse(f"{COMBINED}\n".encode())
    second = int(found.seconds[0])
    assert len(parse(f"{COMBINED}\n".encode(), latest_second=second)[0]) == 1
    found, rejected, *_ = parse(f"{COMBINED}\n".encode(), latest_second=second - 1)
    assert not found
    assert [bad.reason for bad in rejected] == [Reason.TOO_NEW]


FORMATS: Sequence[dict[str, str]] = [
    {"log_format": "simple"},
    {"log_format": "common"},
    {"log_format": "combined", "log_customer_from": "extra1"},
    {"log_format": "combined", "log_customer_from": "path:/(x*)"},
    {"log_format": "json"},
    {"log_format": "regex", "log_pattern": GIN},
    {"log_format": "regex", "log_pattern": r"(?P<time>\d*)(?P<status>\d*)(?P<path>(?s:.)*)"},
]
mangled = st.tuples(st.sampled_from([line for _, line, _ in LINES.values()]), st.randoms(use_true_random=False)).map(
    lambda given: _mangled(given[0].encode(), *given[1:])
)


def _mangled(line: bytes, random: Random) -> bytes:
    data = bytearray(line)
    for _ in range(random.randrange(4)):
        place = random.randrange(len(data) + 1)
        data[place : place + random.randrange(3)] = bytes(
            random.choice(b'"\\{}[],: \r\x00\x85\xff0-/xu') for _ in range(random.randrange(3))
        )
    return bytes(data).replace(b"\n", b"")


@pytest.mark.parametrize("settings", FORMATS, ids=lambda settings: " ".join(settings.values())[:30])
@given(lines=st.lists(st.one_of(mangled, st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")))))
def test_no_line_is_unaccounted_for_whatever_it_holds(settings: dict[str, str], lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    found, rejected, skipped, mended = parser(**settings)(data, 16, 0)
    assert {line.offset for line in mended} <= set(found.offsets.tolist())
    assert len(mended) == len(set(mended))
    offsets = sorted([*found.offsets.tolist(), *(bad.offset for bad in rejected), *skipped])
    assert offsets == [16 + sum(len(line) + 1 for line in lines[:place]) for place in range(len(lines))]
    for customer in found.names:
        assert customer.isprintable() or not customer.isascii()
        assert 0 < len(customer.encode()) <= 256
    for path, status, duration, latency in zip(
        found.request_paths(), found.statuses, found.durations, found.latencies, strict=True
    ):
        assert path.encode()
        assert status == 0 or 100 <= status <= 999
        assert latency == (NONE if not duration else int(Decimal(duration) * 1000 + Decimal("0.5")))


odd_texts = st.one_of(
    st.sampled_from(
        ["", "-", "acme", "a b", "a\\x09b", 'a\\"b', "M\\xC3\\xBCller", "\\xff", "\u00fc", "\u20ac", "[", "] ", " ["]
    ),
    st.text(st.sampled_from(list('ab \\"[]#,-\u00fc\u2028')), max_size=4),
)
odd_values = st.one_of(
    st.sampled_from(
        ["0.004", "-", "-1", "", "0.001, 0.002", "0.001 : 0.002", "1m2s", "12.5 ms", ".5", "1e-05", "0,123"]
    ),
    st.sampled_from(["1.2.3", "90000", "200", "200.0", "000", "099", "999", "1000", "0.1 0.2", "text", "0.1 text"]),
)
requests_lines = st.sampled_from(
    [
        *[
            "GET / HTTP/1.1",
            "GET /a b HTTP/2.0",
            "GET /a",
            "GET",
            "-",
            "",
            "G\u00cbT / HTTP/1.1",
            "GET  HTTP/1.1",
            "a b c d",
        ],
        *["PRI * HTTP/2.0", "GET / HTTP/1.1 ", " / HTTP/1.1", "GETGETGETGETGET / HTTP/1.1", "GET / HTTP/11.1"],
        *["GET / HTTP/1 1", "GET HTTP/1.1"],
    ]
)
times = st.sampled_from(
    ["25/Nov/2026:12:00:01 +0000"] * 6
    + ["25/Nov/2026 12:00:01", "2026-11-25T12:00:01Z", "25/Nov/2026:12:00:61 +0000", "a [2026-11-25T12:00:01Z", ""]
)


def framed(head: list[str], time: str, request: str, numbers: list[str], quoted: list[str], tail: str, end: str) -> str:
    texts = " ".join(f'"{text}"' for text in quoted)
    return f'{" ".join(head)} [{time}] "{request}" {" ".join(numbers)} {texts}{tail}{end}'


combined_lines = st.builds(
    framed,
    st.one_of(
        st.just(["::1", "-", "acme"]),
        st.tuples(st.sampled_from(["::1", "a,b", "#", "", "x" * 60]), st.sampled_from(["-", "-", "x"]), odd_texts).map(
            list
        ),
    ),
    times,
    requests_lines,
    st.one_of(st.just(["200", "612"]), st.lists(st.one_of(odd_values, odd_texts), min_size=1, max_size=3)),
    st.one_of(st.just(["-", "curl"]), st.lists(odd_texts, max_size=4)),
    st.one_of(st.just(""), st.just(" 0.1"), odd_values.map(" {}".format)),
    st.sampled_from(["", "", "", "\r", " ", "\x01"]),
).map(lambda line: line.encode().replace(b"\n", b""))
json_values = st.one_of(
    st.sampled_from(
        [
            '"acme"',
            '"/a?b=1"',
            "200",
            "0.004",
            "null",
            "true",
            "NaN",
            "-",
            "",
            "0.1, 0.2",
            "01",
            "-0",
            "-0.0",
            "1E5",
            "1e-7",
            "1e400",
        ]
    ),
    st.sampled_from(
        [
            '"2026-11-25T12:00:01Z"',
            '"a\\u0009b"',
            '"\\ud800"',
            '"\\ud83d\\ude00"',
            '"\\x22"',
            '"\\q"',
            '"a\tb"',
            '["", "b"]',
            "[]",
        ]
    ),
    st.sampled_from(
        [
            '{"b":1}',
            '{"b":"x","c":{}}',
            "[" * 2_000 + "]" * 2_000,
            "9" * 30,
            "9" * 400 + ".5",
            '"\u00fc"',
            '"',
            "[1,",
            "}",
        ]
    ),
    st.floats().map(repr),
    st.integers().map(str),
    odd_values.map('"{}"'.format),
)
members = st.dictionaries(
    st.sampled_from(
        ["time", "customer", "path", "status", "duration", "method", "bytes", "other", "a", "a.b", "request"]
    ),
    json_values,
)
whole_members = st.just(
    {"time": '"2026-11-25T12:00:01Z"', "customer": '"acme"', "path": '"/"', "status": "200", "duration": "0.1"}
)
json_objects = st.builds(
    lambda first, others, ending: (
        "{" + ",".join(f'"{name}":{value}' for name, value in (first | others).items()) + "}" + ending
    ),
    st.one_of(whole_members, st.just({"time": '"2026-11-25T12:00:01Z"'}), st.just({})),
    members,
    st.sampled_from(["", "", "", "\r", " ", '{"a":1}', ","]),
).map(lambda line: line.encode().replace(b"\n", b""))


@pytest.mark.parametrize(
    "divide",
    [
        *(Combined(field) for field in ("remote_user", "remote_addr", "referer", "user_agent", "extra1")),
        JsonLines({}),
        JsonLines({"customer": "a.b", "duration_2": "other", "request": "request", "path": "a"}),
        JsonLines({"customer": "a.b", "time": "time", "path": "request.uri"}),
    ],
    ids=["user", "address", "referer", "agent", "extra", "json", "json, inside itself", "json, inside"],
)
@given(
    lines=st.lists(
        st.one_of(
            mangled, combined_lines, json_objects, st.sampled_from([b"# a comment", b"#", b"", b"\xff" * 20, b"{" * 20])
        )
    )
)
def test_many_lines_at_once_are_understood_as_each_is_alone(divide: DivideChunk, lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    at_once = LineByLine(divide, "ms", None)(data, 7, 0)
    one_by_one = LineByLine(lambda line: divide(line), "ms", None)(data, 7, 0)
    assert columns_of(at_once.requests) == columns_of(one_by_one.requests)
    assert at_once[1:] == one_by_one[1:]


usual_members = {
    "time": '"2026-11-25T12:00:01Z"',
    "customer": '"acme"',
    "path": '"/"',
    "status": "200",
    "duration": "0.1",
    "method": '"GET"',
    "bytes": "612",
}


def object_of(members: dict[str, str]) -> str:
    return "{" + ",".join(f'"{name}":{value}' for name, value in members.items()) + "}"


nearly_usual_lines = st.builds(
    lambda changed, missing: object_of(
        {name: value for name, value in (usual_members | changed).items() if name != missing}
    ),
    st.dictionaries(st.sampled_from(list(usual_members)), json_values, max_size=1),
    st.sampled_from(["", "", "", *usual_members]),
).map(lambda line: line.encode().replace(b"\n", b""))


@given(st.lists(st.lists(nearly_usual_lines, min_size=1, max_size=3), max_size=4))
def test_lines_are_understood_alike_whatever_came_before_them(chunks: list[list[bytes]]) -> None:
    divide = JsonLines({})
    parse, one_by_one = LineByLine(divide, "s", None), LineByLine(lambda line: divide(line), "s", None)
    for lines in [[object_of(usual_members).encode()], *chunks]:
        data = b"".join(line + b"\n" for line in lines)
        found, expected = parse(data), one_by_one(data)
        assert columns_of(found.requests) == columns_of(expected.requests)
        assert found[1:] == expected[1:]


def columns_of(found: Requests) -> list[tuple[object, ...]]:
    """All that is known of each request."""
    numbers = (found.statuses, found.latencies, found.seconds, found.milliseconds, found.offsets, found.sizes)
    texts = (found.customer_ids(), found.request_paths(), found.durations, found.request_methods())
    return list(zip(*texts, *(column.tolist() for column in numbers), strict=True))


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-11-25\t12:00:01", "2026-11-25T12:00:01"),
        ("2026-11-25 12:00:01 +0000 UTC", "2026-11-25T12:00:01"),
        ("2026-11-25 13:00:01.123456789 +0100 CET", "2026-11-25T12:00:01.123"),
        ("2026-11-25 15:00:01 +0300 +03", "2026-11-25T12:00:01"),
        ("2026-11-25T13:00:01.5+01:00[Europe/Berlin]", "2026-11-25T12:00:01.500"),
        ("2026-11-25T12:00:01Z[UTC]", "2026-11-25T12:00:01"),
        ("2026-11-25T12:00:01.5Z", "2026-11-25T12:00:01.500"),
        ("2026-11-25T12:00:01.5", "2026-11-25T12:00:01.500"),
        ("2026-11-25T12:00:01.25+0000", "2026-11-25T12:00:01.250"),
        ("25/Nov/2026:07:00:01 -0500", "2026-11-25T12:00:01"),
        ("2026/11/25 - 12:00:01", "2026-11-25T12:00:01"),
        ("2026-11-25 12:00:01,25", "2026-11-25T12:00:01.250"),
        ("1795608001.5241024", "2026-11-25T12:00:01.524"),
    ],
)
def test_a_time_is_understood_as_programs_write_it(text: str, time: str) -> None:
    found, rejected, *_ = parser(log_format="json")(json.dumps({"time": text, "path": "/a"}).encode() + b"\n")
    assert not rejected
    assert requests_of(found)[0][0] == time


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25T12:00:01[Europe/Berlin]",
        "2026-11-25 12:00:01 CET",
        "2026-11-25  12:00:01",
        "12:00:01",
        "",
        "1.2.3",
        "2026-11-25T12:00:01.Z",
        "2026-11-25T12:00:01.5+99:00",
    ],
)
def test_a_time_without_a_known_offset_or_a_date_is_none(text: str) -> None:
    _, rejected, *_ = parser(log_format="json")(json.dumps({"time": text, "path": "/a"}).encode() + b"\n")
    assert [bad.reason for bad in rejected] == [Reason.TIME]


@pytest.mark.parametrize(
    "settings",
    [
        {"log_format": "common"},
        {"log_format": "combined", "log_customer_from": "extra1"},
        {"log_format": "common", "log_customer_from": "path:^((/a*)*)*b"},
        {"log_format": "json"},
        {"log_format": "json", "log_json_fields": "customer=a.b,request=request"},
        {"log_format": "regex", "log_pattern": GIN},
        {"log_format": "regex", "log_pattern": r"(?P<time>(\S+ ?)+)+ (?P<path>(\S* ?)*)* (?P<status>(\d+)+)"},
    ],
    ids=lambda settings: " ".join(settings.values())[:30],
)
@settings(max_examples=40)
@given(
    st.sampled_from(["", "::1 - a", '::1 - a [25/Nov/2026:12:00:01 +0000] "', '{"time":', '{"path":"', "[GIN] "]),
    st.text(st.sampled_from(list(' "[]{}\\:,-a1/#\u00fc')), min_size=1, max_size=4),
    st.sampled_from(["", '"', '" 200 1 "-" "-"', "}", '"}', '] "GET / HTTP/1.1" 200 1 "-" "-" 0.1']),
)
def test_a_line_costs_no_more_than_a_multiple_of_its_bytes(
    settings: dict[str, str], beginning: str, unit: str, end: str
) -> None:
    assert_linear(parser(**settings), lambda length: (beginning + unit * (length // len(unit)) + end + "\n").encode())


@given(
    st.datetimes(datetime(1970, 1, 2), datetime(2199, 12, 30)),
    st.integers(-18 * 60, 18 * 60),
    st.sampled_from(["", ".", ","]),
    st.sampled_from(["T%H:%M:%S", " %H:%M:%S"]),
    st.booleans(),
)
def test_a_time_is_understood_in_every_zone(
    timestamp: datetime, minutes: int, separator: str, clock: str, colon: bool
) -> None:
    fraction = f"{separator}{timestamp.microsecond:06d}" if separator else ""
    zone = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}{':' if colon else ''}{abs(minutes) % 60:02d}"
    text = f"{timestamp:%Y-%m-%d}{timestamp.strftime(clock)}{fraction}{zone}"
    line = f'{{"time":"{text}","status":200}}\n'
    found, rejected, *_ = parser(log_format="json")(line.encode(), 0, 0)
    assert not rejected
    utc = int(timestamp.replace(microsecond=0, tzinfo=timezone.utc).timestamp()) - 60 * minutes
    assert (found.seconds[0], found.milliseconds[0]) == (utc, timestamp.microsecond // 1000 if separator else NONE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"log_format": "ncsa"}, "'simple', 'common', 'combined', 'json', 'logfmt', 'nginx', 'apache'"),
        ({"log_format": "regex"}, "has no group (?P<time>...)"),
        ({"log_format": "regex", "log_pattern": "(?P<time>"}, "not a regular expression of RE2"),
        ({"log_format": "regex", "log_pattern": "(?P<time>.)(?P<path>.)"}, "has no group (?P<status>...)"),
        (
            {"log_format": "regex", "log_pattern": "(?P<time>(?=a))"},
            "invalid perl operator (?= at character 10; look-around",
        ),
        ({"log_format": "regex", "log_pattern": r"(?P<time>a)\1"}, r"invalid escape sequence \1 at character 12"),
        ({"log_format": "regex", "log_pattern": "(?P<time>a++)"}, "bad repetition operator ++ at character 11"),
        ({"log_format": "regex", "log_pattern": "(?P<time>a"}, "missing ) at character 1"),
        ({"log_format": "regex", "log_pattern": "(" * 10_000}, "not a regular expression of RE2"),
        ({"log_format": "regex", "log_pattern": "(a{99999999999}"}, "not a regular expression of RE2"),
        ({"log_format": "regex", "log_pattern": "(?P<time>a)b)"}, "unexpected ) at character 13"),
        ({"log_format": "regex", "log_pattern": "(?P<time>a)(?P<time>b)"}, "the group time again at character 12"),
        (
            {"log_format": "regex", "log_pattern": "(?P<time>a{1,900}b{300})"},
            "too large, most of all by {1,900} at character 11",
        ),
        ({"log_format": "regex", "log_pattern": "(?P<time>a{1001})"}, "invalid repetition size {1001} at character 11"),
        ({"log_format": "json", "log_customer_from": "path:(a)(?!b)"}, "invalid perl operator (?! at character 4"),
        ({"log_format": "json", "log_pattern": "."}, "only with LOG_FORMAT=regex"),
        ({"log_format": "common", "log_json_fields": "time=a"}, "only with LOG_FORMAT=json"),
        ({"log_format": "json", "log_json_fields": "when=a"}, "when=a: allowed is FIELD=NAME"),
        ({"log_format": "json", "log_json_fields": "time"}, "time: allowed is FIELD=NAME"),
        ({"log_format": "json", "log_json_fields": "time=a..b"}, "NAME as a, a.b or a|b"),
        ({"log_format": "simple", "log_customer_from": "path:(.)"}, "not with LOG_FORMAT=simple"),
        ({"log_format": "common", "log_customer_from": "extra1"}, "with LOG_FORMAT=combined also"),
        ({"log_format": "w3c", "log_customer_from": "a b"}, "or a column, as cs-username"),
        ({"log_format": "w3c", "log_wrapper": "cri"}, "not with LOG_FORMAT=w3c"),
        ({"log_format": "combined", "log_customer_from": "header"}, "allowed: path:EXPRESSION, remote_user"),
        ({"log_format": "json", "log_customer_from": "tenant"}, "the field or group `customer`"),
        ({"log_format": "json", "log_customer_from": "path:/a"}, "has no group"),
        ({"log_format": "json", "log_customer_from": "path:("}, "not a regular expression of RE2"),
        ({"log_format": "simple", "log_duration_unit": "ms"}, "LOG_FORMAT=simple has seconds"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        LogFormat(**settings)  # type: ignore[arg-type]
