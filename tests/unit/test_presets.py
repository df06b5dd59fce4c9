"""The formats of servers, on lines that they wrote."""

import json
import re
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import servers
from linear import assert_linear
from log_processor.format_settings import FORMATS, LogFormat, Name
from request_log.formats.line_by_line import LineByLine
from request_log.formats.presets import PRESETS
from request_log.line import Reason
from request_log.requests import NONE, Parsed, Requests, joined
from servers import DOCS, snippets

DATA = Path(__file__).parents[1] / "data/logs"
Row = tuple[str, str, str, int, "int | None"]
"""Customer, method, path, status, latency (ms)."""


def parsed(data: bytes, log_format: str, **settings: str) -> Parsed:
    return LogFormat(log_format=log_format, log_drop_query="no", **settings).parser()(data)  # type: ignore[arg-type]


def rows(data: bytes, log_format: str, **settings: str) -> list[Row]:
    """The requests of lines of which none is rejected."""
    found = parsed(data, log_format, **settings)
    assert not found.rejected
    requests = found.requests
    latencies = [None if latency == NONE else latency for latency in requests.latencies.tolist()]
    columns = (requests.customer_ids(), requests.request_methods(), requests.request_paths())
    return list(zip(*columns, requests.statuses.tolist(), latencies, strict=True))


# What Caddy and Traefik were sent, but for what the one or the other does not log: X-Customer, method, path.
SENT = [
    ("acme", "GET", "/a?x=1"),
    ('Müller \U0001f469 "GmbH" \\x41', "GET", '/é"\\x'),
    ("a\ufffd\ufffdb", "GET", "/b"),
    ("a\\x09b", "GET", "/c"),
    ("acme", "GET", "/d"),
    ("-", "GET", "/e"),
    ("-", "get", "/lower"),
    ("-", "GET", "/g"),
    ('"q"', "GET", "/h"),
]
USER = ("John Doe", "/g")


@pytest.mark.parametrize(
    ("file", "log_format", "encoded"), [("caddy.txt", "caddy", False), ("traefik-json.txt", "traefik", True)]
)
def test_objects_that_a_server_wrote_have_the_customers_that_were_sent(
    file: str, log_format: str, encoded: bool
) -> None:
    data = (DATA / file).read_bytes()
    found = rows(data, log_format, log_customer_from="header:X-Customer")
    # Caddy has the first one of a header that was sent twice, Traefik all of them.
    renamed = {"acme,other": "acme", "/%C3%A9%22%5Cx": '/é"\\x'} if encoded else {}
    plain = [(renamed.get(row[0], row[0]), row[1], renamed.get(row[2], row[2])) for row in found]
    assert [row for row in plain if row in SENT] == SENT
    assert {row[3] for row in found} == {200}
    assert all(latency is not None and latency < 60_000 for *_, latency in found)
    assert [(row[0], row[2]) for row in rows(data, log_format) if row[0] != "-"] == [USER]


def test_the_durations_of_objects_are_in_the_units_of_their_servers() -> None:
    # Caddy checked a password for 0.946 s. Traefik says 63808 ns.
    caddy = parsed((DATA / "caddy.txt").read_bytes(), "caddy").requests
    assert max(map(float, caddy.durations)) == pytest.approx(0.946, abs=0.001)
    assert parsed((DATA / "traefik-json.txt").read_bytes(), "traefik").requests.durations[0] == "0.000063808"


@pytest.mark.parametrize("file", ["traefik-common.txt", "traefik-genericCLF.txt"])
def test_traefiks_text_is_understood(file: str) -> None:
    found = rows((DATA / file).read_bytes(), "traefik")
    paths = [path.replace('/é"\\x', "/%C3%A9%22%5Cx") for _, _, path in SENT]
    assert [row[2] for row in found if row[2] in paths] == paths
    assert [(row[0], row[2]) for row in found if row[0] != "-"] == [USER]
    assert {row[4] for row in found} == ({0} if "common" in file else {None})


def test_traefiks_text_is_understood_whatever_clients_send() -> None:
    line = '{} - acme [28/Nov/2026:10:00:01 +0000] "GET /a HTTP/1.1" 200 2 "{}" "{}" 7 "shop@file" "http://a:1" 2ms\n'
    for address in ("192.0.2.7", "192.0.2.7, 198.51.100.4", "::1"):
        for referer in ("-", 'a\\" \\"b', "c:\\"):
            for agent in ("-", 'x\\" 200 2 \\"', "ends in \\", "\\\\"):
                assert rows(line.format(address, referer, agent).encode(), "traefik") == [("acme", "GET", "/a", 200, 2)]


@pytest.mark.parametrize("log_format", ["traefik", "gunicorn", "nginx", "apache"])
@pytest.mark.parametrize(
    "tail",
    [' rt=0.004 x urt="0.001, 0.002"', ' "acme" rt=0.004 x', " =0.004", ' rt=0.004 "', ' ""a" "b"', '"', " rt=0.004 "],
)
def test_what_a_server_would_not_write_is_no_part_of_a_text(tail: str, log_format: str) -> None:
    line = f'192.0.2.7 - bob [28/Nov/2026:10:00:01 +0000] "GET /a HTTP/1.1" 200 2 "-" "curl/8"{tail}\n'
    assert [bad.reason for bad in parsed(line.encode(), log_format).rejected] == [Reason.FIELDS]


# In nginx's documentation no space precedes the first name. nginx Amplify's format also has texts without names.
NAMED = {
    'rt=0.004 uct="0.001" uht="0.002" urt="0.003"': 4,
    " rt=0.004 uct=0.001 uht=0.002 urt=0.003": 4,
    " rt=1.004 uct=0.001, 0.002 uht=-, 0.1 urt=0.003 : 1.000": 1004,
    " uct=- rt=0.004 urt=-": 4,
    ' "198.51.100.4" "shop" sn="shop" rt=0.004 ua="10.0.0.1:80, 10.0.0.2:80" ut="0.001, 0.003" ul="0, 12" cs=-': 4,
    ' tenant="Müller GmbH" request_time="0.004" upstream_response_time="0.003"': 4,
    ' kong_request_id: "8f2e9a1b2c3d"': None,
    " 0.004 urt=9.000": 4,
    " rt=- urt=0.003": None,
    ' empty="" cs=': None,
}


@pytest.mark.parametrize("log_format", ["combined", "nginx", "gunicorn"])
@pytest.mark.parametrize("tail", NAMED)
def test_values_after_a_line_may_have_names(tail: str, log_format: str) -> None:
    assert rows(f"{COMBINED}{tail}\n".encode(), log_format) == [("acme", "GET", "/a", 200, NAMED[tail])]


@pytest.mark.parametrize(
    ("tail", "customer", "expected"),
    [
        (' rt=0.004 tenant="a b" "c"', "value:tenant", "a b"),
        (' rt=0.004 tenant="a b" "c"', "extra1", "c"),
        (" tenant=acme,b rt=0.004", "value:tenant", "acme,b"),
        (' tenant: "b"', "value:tenant", "b"),
        (" tenant=- rt=0.004", "value:tenant", "-"),
        (' other="b"', "value:tenant", "-"),
    ],
)
def test_a_value_with_a_name_may_be_the_customer(tail: str, customer: str, expected: str) -> None:
    assert rows(f"{COMBINED}{tail}\n".encode(), "nginx", log_customer_from=customer)[0][0] == expected
    assert rows(f"{COMBINED}\n".encode(), "combined", log_customer_from=customer)[0][0] == "-"


def test_a_load_balancers_lines_are_understood() -> None:
    data = (DATA / "alb.txt").read_bytes()
    assert rows(data, "alb") == [
        ("www.example.com", "GET", "/", 200, 1),
        ("www.example.com", "GET", "/", 200, 171),
        ("10.0.2.105", "GET", "/", 200, 2),
        ("10.0.0.30", "GET", "/", 101, 4),
        ("10.0.0.30", "GET", "/", 101, 1),
        ("www.example.com", "GET", "/", 200, 1),
        ("www.example.com", "GET", "/", 502, 1),
    ]
    assert parsed(data, "alb").requests.sizes.tolist() == [366, 57, 257, 587, 786, 366, 366]
    assert rows(data, "alb", log_customer_from="remote_addr")[0][0] == "192.168.131.39"
    # What it could not read, and what it gave up waiting for.
    bad = (
        "http 2018-11-30T22:23:00.186641Z app/a/50dc 192.168.131.39:2817 - -1 -1 -1 400 - 0 288 "
        '"- http://lb.example.com:80- -" "-" - - - "-" "-" "-" - 2018-11-30T22:22:48.364000Z "-" "-" "-" "-" "-" "-"\n'
        "https 2026-11-28T10:00:03.000000Z app/a/50dc [2001:db8::1]:2819 10.0.0.1:80 0.001 -1 -1 504 - 34 366 "
        '"POST https://[2001:db8::2]:443/acme/a?b=c HTTP/1.1" "x "y" z" - -\n'
    )
    assert rows(bad.encode(), "alb") == [
        ("lb.example.com", "", "-", 400, None),
        ("[2001:db8::2]", "POST", "/acme/a?b=c", 504, None),
    ]
    assert rows(bad.encode(), "alb", log_customer_from="path:^/([^/]+)")[1][0] == "acme"


def test_envoys_lines_are_understood_with_fields_after_them() -> None:
    data = (DATA / "envoy.txt").read_bytes()
    assert rows(data, "envoy") == [
        ("locations", "POST", "/api/v1/locations", 204, 226),
        ("httpbin:8000", "GET", "/status/418", 418, 4),
        ("httpbin:8000", "GET", "/status/418", 418, 3),
    ]
    first = data.splitlines()[0]
    assert rows(first + b' "acme" "b c"\n', "envoy", log_customer_from="extra1")[0][0] == "acme"
    assert rows(first + b' "acme" "b c"\n', "envoy", log_customer_from="extra2")[0][0] == "b c"
    assert rows(first + b"\n", "envoy", log_customer_from="extra1")[0][0] == "-"
    # The client went away; it was no HTTP.
    gone = '[2026-11-28T10:00:01.000Z] "GET /a HTTP/1.1" 0 DC 0 0 15 - "-" "x "y" z" "1" "shop" "10.0.0.1:80"\n'
    bad = '[2026-11-28T10:00:01.000Z] "- - HTTP/1.1" 400 DPE 0 11 0 - "-" "-" "-" "-" "-"\n'
    found = rows((gone + bad).encode(), "envoy")
    assert found == [("shop", "GET", "/a", 0, 15), ("-", "", "-", 400, 0)]


def test_envoy_gateways_objects_are_understood() -> None:
    line = (
        b'{":authority":"shop.example.net","bytes_sent":12,"downstream_remote_address":"10.0.0.2:1","duration":7,'
        b'"method":"GET","response_code":200,"response_flags":"-","start_time":"2026-11-28T10:00:01.123Z",'
        b'"user-agent":"curl","x-customer":"acme","x-envoy-origin-path":"/a?b","x-forwarded-for":"10.0.0.2"}\n'
    )
    assert rows(line, "envoy") == [("shop.example.net", "GET", "/a?b", 200, 7)]
    for customer, name in (("header:X-Customer", "acme"), ("user_agent", "curl"), ("x_forwarded_for", "10.0.0.2")):
        assert rows(line, "envoy", log_customer_from=customer)[0][0] == name


def test_a_classic_load_balancers_lines_are_understood() -> None:
    line = (
        b"2026-11-28T10:00:01.123456Z my-lb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 0.000057 200 200 0 29 "
        b'"GET http://www.example.com:80/a HTTP/1.1" "curl/7.38.0" - -\n'
    )
    assert rows(line, "alb") == [("www.example.com", "GET", "/a", 200, 1)]


def test_hypercorns_request_line_names_only_the_version() -> None:
    for version in ("1.1", "2", "HTTP/1.1"):
        assert rows(COMBINED.replace("HTTP/1.1", version).encode() + b"\n", "combined")[0][2] == "/a"


def test_istios_objects_are_understood() -> None:
    line = (
        b'{"start_time":"2026-11-28T10:00:01.409Z","route_name":"default","method":"GET","path":"/a","protocol":'
        b'"HTTP/1.1","response_code":503,"response_flags":"UH","bytes_received":0,"bytes_sent":19,"duration":12,'
        b'"upstream_service_time":null,"x_forwarded_for":null,"user_agent":"curl","authority":"shop.example.net"}\n'
    )
    assert rows(line, "envoy") == [("shop.example.net", "GET", "/a", 503, 12)]
    assert rows(line, "envoy", log_customer_from="user_agent")[0][0] == "curl"


HAPROXY = (
    "10.0.1.2:33317 [25/Nov/2026:12:00:01.655] http-in~ static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 "
    '{acme|curl#2F8 #C3#A9} {} "GET /index.html HTTP/1.1"\n'
)


def test_haproxys_captured_headers_may_be_the_customer() -> None:
    assert rows(HAPROXY.encode(), "haproxy") == [("acme", "GET", "/index.html", 200, 109)]
    assert rows(HAPROXY.encode(), "haproxy", log_customer_from="capture2")[0][0] == "curl/8 é"
    assert rows(HAPROXY.encode(), "haproxy", log_customer_from="capture3")[0][0] == "-"
    assert rows(HAPROXY.encode(), "haproxy", log_customer_from="frontend")[0][0] == "http-in"
    assert rows(HAPROXY.encode(), "haproxy", log_customer_from="remote_addr")[0][0] == "10.0.1.2"
    # With option logasap, and cut because it is too long.
    asap = HAPROXY.replace("109 200 2750", "+109 200 +243").replace(' HTTP/1.1"', "")
    assert rows(asap.encode(), "haproxy") == [("acme", "GET", "/index.html", 200, 109)]
    behind_syslog = f"Nov 25 12:00:01 web1 haproxy[14389]: {HAPROXY}"
    assert rows(behind_syslog.encode(), "haproxy", log_wrapper="syslog")[0][0] == "acme"
    # A backslash is itself.
    assert rows(HAPROXY.replace("acme", "a\\x41#23").encode(), "haproxy")[0][0] == "a\\x41#"


COMBINED = '192.0.2.7 - acme [28/Nov/2026:10:00:01 +0000] "GET /a HTTP/1.1" 200 612 "-" "curl/8.5.0"'


def test_a_server_may_write_several_shapes_into_one_log() -> None:
    common = COMBINED.partition(' "-"')[0]
    vhost = f"shop.example.net:443 {COMBINED}"
    apache = [common, COMBINED, f"{COMBINED} 1500", f"{vhost} 1500000", vhost]
    data = "".join(f"{line}\n" for line in apache).encode()
    assert [row[0] for row in rows(data, "apache")] == ["acme"] * 5
    assert [row[4] for row in rows(data, "apache")] == [None, None, 2, 1500, None]
    assert [row[4] for row in rows(data, "apache", log_duration_unit="ms")] == [None, None, 1500, 1500000, None]
    assert [row[0] for row in rows(data, "apache", log_customer_from="vhost")] == ["-"] * 3 + ["shop.example.net"] * 2
    ingress = f"{COMBINED} 430 0.004 [shop-api-80] [] 10.0.0.1:80 612 0.004 200 5e1e"
    plain = (
        '{"time_local":"28/Nov/2026:10:00:01 +0000","remote_user":"acme","request":"GET /a HTTP/1.1","status":"200"}'
    )
    data = "".join(f"{line}\n" for line in (plain, ingress, COMBINED, common, plain, ingress)).encode()
    found = rows(data, "nginx")
    assert [row[:4] for row in found] == [("acme", "GET", "/a", 200)] * 6
    assert [row[4] for row in found] == [None, 4, None, None, None, 4]
    assert parsed(data, "nginx").requests.offsets.tolist() == sorted(parsed(data, "nginx").requests.offsets.tolist())
    assert [row[0] for row in rows(data, "nginx", log_customer_from="upstream")] == [
        "-",
        "shop-api-80",
        "-",
        "-",
        "-",
        "shop-api-80",
    ]


def test_nginx_objects_are_understood_by_the_names_of_its_variables() -> None:
    for line in (
        '{"time_iso8601":"2026-11-28T10:00:01+00:00","remote_user":"acme","request_uri":"/a?b","uri":"/a",'
        '"request_method":"PUT","status":201,"request_time":0.25,"body_bytes_sent":7,"http_x_customer":"shop"}',
        '{"@timestamp":"2026-11-28T10:00:01+00:00","remote_user":"acme","request":"PUT /a?b HTTP/1.1",'
        '"status":"201","request_time":"0.250","bytes_sent":"7","http_x_customer":"shop","msec":"1"}',
        '{"msec":"1795860001.000","remote_user":"acme","request":"PUT /a?b HTTP/1.1","http_user_agent":"\\x22",'
        '"status":"201","request_time":"0.250","upstream_response_time":-,"http_x_customer":"shop"}',
    ):
        assert rows(f"{line}\n".encode(), "nginx") == [("acme", "PUT", "/a?b", 201, 250)], line
        assert rows(f"{line}\n".encode(), "nginx", log_customer_from="header:x-customer")[0][0] == "shop"


def test_gunicorns_lines_are_understood_whatever_clients_send() -> None:
    line = '192.0.2.7 - - [28/Nov/2026:10:00:01 +0000] "GET /{} HTTP/1.1" 200 2 "{}" "{}" "{}" "b" 0.002\n'
    for path in ("a", '\\"a\\\\" 200 2 \\"'):
        for agent in ("-", 'x\\" \\"y', "ends in \\"):
            for customer in ("acme", "acme\\"):
                data = line.format(path, agent, agent, customer).encode()
                found = rows(data, "gunicorn", log_customer_from="extra1")
                assert [(row[0], *row[3:]) for row in found] == [(customer, 200, 2)]
                assert rows(data, "gunicorn", log_customer_from="extra2")[0][0] == "b"


@pytest.mark.parametrize(
    "at",
    [
        "2026-11-28T10:00:01+0000",
        "2026-11-28 10:00:01,250",
        "[2026-11-28 10:00:01]",
        "2026-11-28T10:00:01.5Z INFO:    ",
    ],
)
def test_uvicorns_lines_are_understood_with_other_times_and_levels(at: str) -> None:
    line = f'{at} 192.0.2.7:48616 - "GET /a"b HTTP/1.1" 404 Not Found\n'
    assert rows(line.encode(), "uvicorn") == [("192.0.2.7", "GET", '/a"b', 404, None)]
    assert rows(line.encode(), "uvicorn", log_customer_from="path:^/(.)")[0][0] == "a"


def test_uvicorns_lines_without_a_time_are_rejected() -> None:
    assert parsed(b'INFO:     127.0.0.1:42364 - "GET / HTTP/1.1" 200 OK\n', "uvicorn").rejected


ALL = b"".join(file.read_bytes() for file in sorted(DATA.glob("*.txt")))
ALL += "".join([HAPROXY, *(f"{COMBINED}{tail}\n" for tail in ("", *NAMED))]).encode()
LINES = [line for line in ALL.splitlines() if len(line) < 1_000]
"""Lines of all servers."""

PREFIXES = {
    "CRI": "2026-11-28T10:00:01.123456789Z stdout F ",
    "syslog": "Nov 28 10:00:02 web1 nginx: ",
    "syslog, with a year": "2026-11-28T10:00:01.123456+00:00 web1 nginx[12]: ",
    "syslog, RFC 5424": "<190>1 2026-11-28T10:00:01Z web1 nginx 12 - - ",
    "a time": "2026-11-28T10:00:01 ",
    "an address": "198.51.100.4, ",
    "two addresses": "198.51.100.4 ",
    "spaces": " ",
}


@pytest.mark.parametrize("name", ["apache", "combined", "common", "gunicorn", "nginx", "traefik"])
def test_the_request_of_a_line_that_was_cut_is_no_part_of_the_next_ones_customer(name: str) -> None:
    head = '192.0.2.7 - acme [25/Nov/2026:12:00:01 +0000] "GET /a?token=s3cr3t HTTP/1.1" 200 5'
    tail = ' "-" "curl" 1 "router@docker" "http://192.0.2.8" 5ms' if name == "traefik" else ' "-" "curl"'
    whole = f"{'shop.example.com:443 ' if name == 'apache' else ''}{head}{'' if name == 'common' else tail}"
    for kept in range(whole.index("GET"), len(whole)):
        requests = parsed(f"{whole[:kept]}{whole}\n".encode(), name).requests
        assert set(requests.customer_ids()) <= {"acme"}, kept


@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("name", ["common", "combined", *(name for name in PRESETS if not PRESETS[name].is_w3c)])
def test_nobody_is_charged_for_what_stands_before_a_line(name: str, prefix: str) -> None:
    allowed = PRESETS[name].customers() if name in PRESETS else ["remote_addr"]
    for customer in ["", *(field for field in allowed if field[-1] != "N" and field != "header:NAME")]:
        parse = LogFormat(log_format=name, log_customer_from=customer).parser()  # type: ignore[arg-type]
        for line in (
            *LINES[::4],
            HAPROXY.strip().encode(),
            COMBINED.encode(),
            COMBINED.replace(" - acme", " - John Doe").encode(),
        ):
            plain = parse(line + b"\n").requests
            behind = parse(PREFIXES[prefix].encode() + line + b"\n").requests
            # Traefik has the addresses that X-Forwarded-For lists.
            if (name, customer, prefix) != ("traefik", "remote_addr", "an address"):
                assert behind.customer_ids() in ([], plain.customer_ids())


TEXT_OR_JSON = [name for name, preset in PRESETS.items() if not preset.is_w3c]


def columns(requests: Requests) -> list[object]:
    """All that is said of requests."""
    return [
        requests.customer_ids(),
        requests.request_paths(),
        requests.request_methods(),
        requests.durations,
        *(getattr(requests, name).tolist() for name in ("statuses", "latencies", "seconds", "milliseconds", "sizes")),
    ]


def plainly(log_format: str, customer: str) -> LineByLine:
    """A parser that takes each line apart by itself."""
    found = LogFormat(log_format=log_format, log_customer_from=customer)  # type: ignore[arg-type]
    divide = found.divide()
    assert divide is not None
    return LineByLine(lambda line: divide(line), found.duration_unit(), None)


@pytest.mark.parametrize("name", TEXT_OR_JSON)
@settings(max_examples=20)
@given(st.lists(st.sampled_from(LINES), max_size=12), st.data())
def test_a_line_means_the_same_whatever_lines_are_beside_it(name: str, lines: list[bytes], data: st.DataObject) -> None:
    known = [field.replace("N", "1") for field in PRESETS[name].customers() if "NAME" not in field]
    known += ["value:rt", "value:tenant"] if "value:NAME" in PRESETS[name].customers() else []
    customer = data.draw(st.sampled_from(["", *known]))
    together = parsed(b"".join(line + b"\n" for line in lines), name, log_customer_from=customer)
    parse = plainly(name, customer)
    alone = [parse(line + b"\n") for line in lines]
    assert columns(together.requests) == columns(joined([each.requests for each in alone]))
    assert [bad.reason for bad in together.rejected] == [bad.reason for each in alone for bad in each.rejected]
    assert len(together.requests) + len(together.rejected) + len(together.skipped) == len(lines)


odd_bytes = st.lists(st.sampled_from(list(b'"\\{}[],: \r\x00\x85\xff0-/xu#|')), max_size=3).map(bytes)
cuts = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), odd_bytes), max_size=4)
mangled_lines = st.tuples(st.sampled_from(LINES), cuts).map(lambda drawn: mangled(*drawn))


def mangled(line: bytes, cuts: list[tuple[float, int, bytes]]) -> bytes:
    """A line of which some bytes are replaced by others."""
    for where, length, others in cuts:
        place = int(where * len(line))
        line = line[:place] + others + line[place + length :]
    return line


@pytest.mark.parametrize("name", TEXT_OR_JSON)
@settings(max_examples=20)
@given(st.lists(mangled_lines, max_size=5))
def test_no_line_is_unaccounted_for_whatever_it_holds(name: str, lines: list[bytes]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    fast, plain = parsed(data, name), plainly(name, "")(data)
    found = [fast.requests.offsets.tolist(), [bad.offset for bad in fast.rejected], fast.skipped]
    assert sorted(offset for offsets in found for offset in offsets) == [
        sum(len(line) + 1 for line in lines[:place]) for place in range(len(lines))
    ]
    assert columns(fast.requests) == columns(plain.requests)
    assert [(bad.offset, bad.reason) for bad in fast.rejected] == [(bad.offset, bad.reason) for bad in plain.rejected]


HEADS = [
    "",
    *(line.decode()[:length] for line in (LINES[0], HAPROXY.encode(), COMBINED.encode()) for length in (20, 70)),
    COMBINED,
    f"shop:443 {COMBINED}",
    f"{COMBINED} rt=",
    f'{COMBINED} rt=0.1, "x" uct="',
    '[2016-04-15T20:17:00.310Z] "POST /api',
    '{"time_iso8601":',
    "2026-11-28T10:00:01Z ",
]


@pytest.mark.parametrize("name", TEXT_OR_JSON)
@settings(max_examples=15)
@given(
    st.sampled_from(HEADS),
    st.text(st.sampled_from(list(' "[]{}\\:,-a1/#')), min_size=1, max_size=4),
    st.sampled_from(["", '"', '" 200 1 "-" "-"', "}", '] "GET / HTTP/1.1" 200 1 "-" "-" 0.1']),
)
def test_a_line_costs_no_more_than_a_multiple_of_its_bytes(name: str, head: str, unit: str, end: str) -> None:
    parse = LogFormat(log_format=name).parser()  # type: ignore[arg-type]
    assert_linear(parse, lambda length: (head + unit * (length // len(unit)) + end + "\n").encode())


members = sorted({name for member in PRESETS["nginx"].shapes[0].members.values() for name in member.split("|")})
values: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "-",
        0,
        200,
        0.25,
        [],
        ["", "a"],
        [[]],
        {"a": 1},
        True,
        "404",
        "GET /a HTTP/1.1",
        "/b",
        "2026-11-28T10:00:01Z",
    ]
)


@given(st.lists(st.dictionaries(st.sampled_from([*members, "remote_user"]), values), max_size=5))
def test_of_several_members_the_first_that_says_something_counts(records: list[dict[str, object]]) -> None:
    data = "".join(json.dumps(record).ljust(20) + "\n" for record in records).encode()
    fast, plain = parsed(data, "nginx"), plainly("nginx", "")(data)
    assert columns(fast.requests) == columns(plain.requests)
    assert [(bad.offset, bad.reason) for bad in fast.rejected] == [(bad.offset, bad.reason) for bad in plain.rejected]


def test_caddys_console_format() -> None:
    lines = [json.loads(line) for line in (DATA / "caddy.txt").read_bytes().splitlines()]
    console = "".join(
        f"{time.strftime('%Y/%m/%d %H:%M:%S', time.gmtime(line.pop('ts')))}.123\tINFO\thttp.log\thandled request\t"
        f"{json.dumps({name: value for name, value in line.items() if name not in ('level', 'logger', 'msg')})}\n"
        for line in lines
    ).encode()
    settings = {"log_customer_from": "header:X-Customer"}
    assert rows(console, "caddy", **settings) == rows((DATA / "caddy.txt").read_bytes(), "caddy", **settings)
    forged = b'2026/11/28 10:00:01","ts":1\tINFO\tx\ty\t{"request": {"uri": "/a"}, "status": 200}\n'
    assert len(parsed(forged, "caddy").rejected) == 1


@pytest.mark.parametrize("log_format", ["common", "combined", "apache"])
@pytest.mark.parametrize(
    ("status_and_size", "tail", "latency"),
    [("200 612", "432 867", None), ("304 -", "512 187", None), ("408 -", "0 0", None), ("200 612", "12000 0", 12)],
)
def test_bytes_that_mod_logio_counts_are_no_latency(
    log_format: str, status_and_size: str, tail: str, latency: int | None
) -> None:
    agents = "" if log_format == "common" else ' "-" "curl/8.5.0"'
    line = f'192.0.2.7 - acme [28/Nov/2026:10:00:01 +0000] "GET /a HTTP/1.1" {status_and_size}{agents} {tail}\n'
    unit = {} if log_format == "apache" else {"log_duration_unit": "us"}
    found = rows(line.encode() * 3, log_format, **unit)
    assert found == [("acme", "GET", "/a", int(status_and_size[:3]), latency)] * 3


# --- What the documentation says ---


def table() -> dict[str, list[str]]:
    """The documentation's formats: the cells after the name."""
    _, _, text = DOCS.partition("\n## Formats\n")
    text = text.partition("\n## ")[0]
    found = [[cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines() if line.startswith("| `")]
    return {cells[0].strip("`"): cells[1:] for cells in found}


def test_the_documentation_has_all_formats_in_the_order_in_which_they_are_tried() -> None:
    assert tuple(name for name in table() if name != "LOG_FORMAT") == FORMATS
    assert set(PRESETS) < set(FORMATS)
    assert get_args(LogFormat.model_fields["log_format"].annotation) == FORMATS


@pytest.mark.parametrize("name", PRESETS)
def test_the_documentation_says_of_each_preset_what_the_registry_has(name: str) -> None:
    preset = PRESETS[name]
    lines, default, others, unit = table()[name]
    assert lines.partition(": ")[2] == "; ".join(shape.written_by for shape in preset.shapes)
    assert default == f"`{preset.customer}`"
    if not preset.is_w3c:
        named = {re.sub(r"[1-9]$", "N", preset.customer), *re.findall("`([^`]+)`", others)}
        assert named == set(preset.customers())
    if unit:
        words = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}
        assert unit.split(",")[0].split(";")[0] == words[preset.duration_unit]


@pytest.mark.parametrize("name", PRESETS)
def test_what_may_be_the_customer_is_said(name: Name) -> None:
    if name == "apache":
        with pytest.raises(ValidationError, match="the number is too high"):
            LogFormat(log_format=name, log_customer_from="extra99")
    with pytest.raises(ValidationError, match="allowed") as error:
        LogFormat(log_format=name, log_customer_from="nobody here")
    for customer in PRESETS[name].customers():
        assert customer in str(error.value)


def test_every_customer_that_is_allowed_is_taken() -> None:
    for name in TEXT_OR_JSON:
        for customer in PRESETS[name].customers():
            for number in ("1", "12"):
                text = customer.replace("NAME", "X-Customer").replace("N", number) if customer[-1] == "N" else customer
                LogFormat(log_format=name, log_customer_from=text.replace("NAME", "X-Customer")).parser()  # type: ignore[arg-type]


@pytest.mark.parametrize("server", ["nginx", "Apache", "Caddy", "Traefik", "Envoy", "HAProxy", "gunicorn", "uvicorn"])
def test_every_server_has_a_configuration_in_the_documentation(server: str) -> None:
    assert sum(map(len, snippets(server).values())) >= 2


@pytest.mark.parametrize(
    ("server", "file"),
    [
        ("ALB", "alb.txt"),
        ("Caddy", "caddy.txt"),
        ("CloudFront", "cloudfront.txt"),
        ("Envoy", "envoy.txt"),
        ("IIS", "iis.txt"),
        ("Traefik", "traefik-json.txt"),
    ],
)
def test_the_commands_of_the_documentation_read_what_the_servers_write(server: str, file: str) -> None:
    settings_of_command = servers.settings(server)
    assert settings_of_command["log_format"] == server.lower()
    assert rows((DATA / file).read_bytes(), **settings_of_command)
