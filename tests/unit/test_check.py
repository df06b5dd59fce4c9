"""What `check` finds out about a log by itself."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timezone
from itertools import takewhile
from pathlib import Path
from random import Random
from typing import NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from log_processor.__main__ import main
from log_processor.commands.check.finding import find
from log_processor.commands.check.members import json_fields
from log_processor.commands.check.patterns import PATTERNS
from log_processor.commands.check.report import shown
from log_processor.commands.check.sample import LINES, Sample
from log_processor.commands.check.suspicions import suspicions, what_looks_like
from log_processor.format_settings import LogFormat

DATA = Path(__file__).parents[1] / "data/logs"
SOURCES = Path(__file__).parents[2] / "src"
NOW = datetime.now(timezone.utc).strftime("%d/%b/%Y:%H:%M:%S +0000")


class Ended(NamedTuple):
    """What a command has returned."""

    returncode: int
    stdout: str
    stderr: str


def check(path: Path, **environment: str) -> Ended:
    """Run the command in this process, in an environment that has nothing else."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2)]
    with (
        patch.dict(os.environ, environment, clear=True),
        patch.object(sys, "argv", ["log_processor", "check", str(path)]),
        redirect_stdout(streams[0]),
        redirect_stderr(streams[1]),
        pytest.raises(SystemExit) as exited,
    ):
        main()
    for stream in streams:
        stream.seek(0)
    assert isinstance(exited.value.code, int)
    return Ended(exited.value.code, streams[0].read(), streams[1].read())


def check_in_a_process(path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as somebody does, in an environment that has nothing else."""
    return subprocess.run(
        [sys.executable, "-m", "log_processor", "check", str(path)],
        env={"PYTHONPATH": str(SOURCES), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def pasted(output: str) -> dict[str, str]:
    """The settings that are printed, as a shell takes them."""
    _, _, text = output.partition("Settings that fit these lines:\n")
    lines = takewhile(re.compile("LOG_[A-Z_]+=").match, text.splitlines())
    return dict(part.split("=", 1) for line in lines for part in shlex.split(line))


def found(data: bytes) -> str:
    best = find(Sample(data, False))
    return best.settings.described() if best is not None else ""


def combined(*, customer: str = "-", extras: str = "", user: str = "-", path: str = "/a") -> str:
    return f'192.0.2.7 - {user} [{NOW}] "GET {path} HTTP/1.1" 200 612 "-" "curl/8.5.0"{extras}\n'.replace("@", customer)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("alb.txt", "LOG_FORMAT=alb"),
        ("caddy.txt", "LOG_FORMAT=caddy LOG_CUSTOMER_FROM=header:X-Customer"),
        ("cloudfront.txt", "LOG_FORMAT=cloudfront"),
        ("envoy.txt", "LOG_FORMAT=envoy"),
        ("iis.txt", "LOG_FORMAT=iis"),
        ("traefik-common.txt", "LOG_FORMAT=traefik"),
        ("traefik-genericCLF.txt", "LOG_FORMAT=combined"),
        ("traefik-json.txt", "LOG_FORMAT=traefik LOG_CUSTOMER_FROM=header:X-Customer"),
    ],
)
def test_the_settings_of_a_servers_log_are_found(file: str, expected: str) -> None:
    assert found((DATA / file).read_bytes()) == expected


def test_of_formats_that_understand_as_much_the_first_is_taken() -> None:
    assert found(b"2026-11-23 16:15:35 cust_5 /api/v1/resource4 200 0.772\n" * 3) == "LOG_FORMAT=simple"
    assert found(combined(user="acme").encode() * 3) == "LOG_FORMAT=combined"
    assert found(f"shop.example.net:443 {combined(user='acme')}".encode()) == "LOG_FORMAT=apache"
    # Most lines win.
    mixed = f"shop.example.net:443 {combined()}" + combined() * 2
    assert found(mixed.encode()) == "LOG_FORMAT=apache"


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (["0.001", "0.250", "1.500"], None),
        (["1500", "23000", "900"], "us"),
        (["12", "150", "30"], "ms"),
        (["0", "0", "1"], None),
        (["58.33", "12.5", "700.1"], "ms"),
        (["1500250", "63808", "9000000"], "ns"),
        (["90", "120", "1002757"], "us"),
    ],
)
def test_a_unit_that_no_line_names_is_guessed_and_marked(values: list[str], unit: str | None, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text("".join(combined(user="acme", extras=f" {value}") for value in values))
    end = check(log)
    assert pasted(end.stdout).get("LOG_DURATION_UNIT") == unit
    assert end.stdout.count("(guessed: the line names no unit") == 3
    log.write_text("".join(combined(user="acme", extras=f" {value}ms") for value in values))
    assert "names no unit" not in check(log).stdout


def test_a_time_without_a_zone_is_marked(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text('2026-11-28 10:00:01,123 192.0.2.7:4 - "GET / HTTP/1.1" 200 OK\n')
    assert "(guessed: the line names no zone)" in check(log).stdout
    log.write_text('2026-11-28 10:00:01,123+0100 192.0.2.7:4 - "GET / HTTP/1.1" 200 OK\n')
    assert "names no zone" not in check(log).stdout


def test_the_customer_is_looked_for_where_it_is_not_by_default() -> None:
    lines = [combined(extras=f' "203.0.113.{n % 50}" "{n:032x}" "cust_{n % 3}" 0.1') for n in range(40)]
    assert found("".join(lines).encode()) == "LOG_FORMAT=combined LOG_CUSTOMER_FROM=extra3"
    # Who has signed in is the customer, whatever else there is.
    lines = [combined(user=f"cust_{n % 3}", extras=' "shop.example.net"') for n in range(40)]
    assert found("".join(lines).encode()) == "LOG_FORMAT=combined"
    # Some have, but the header is there always.
    lines = [combined(user="-bob"[n % 9 == 0 :][:1] or "-", extras=f' "cust_{n % 3}"') for n in range(40)]
    assert found("".join(lines).encode()) == "LOG_FORMAT=combined LOG_CUSTOMER_FROM=extra1"


OBJECTS = {
    "pino-http": (
        {
            "level": 30,
            "time": 1795608001123,
            "req": {"method": "GET", "url": "/a", "headers": {"x-customer": "acme"}},
            "res": {"statusCode": 200},
            "responseTime": 3.5,
        },
        "LOG_JSON_FIELDS=customer=req.headers.x-customer,path=req.url,status=res.statusCode,duration=responseTime,"
        "method=req.method LOG_DURATION_UNIT=ms",
    ),
    "Elastic": (
        {
            "@timestamp": "2026-11-25T12:00:01.000Z",
            "url.path": "/a",
            "user": {"name": "acme"},
            "http": {"response.status_code": 200},
            "event.duration": 7000000,
        },
        "LOG_JSON_FIELDS=time=@timestamp,customer=user.name,path=url.path,status=http.response.status_code,"
        "duration=event.duration LOG_DURATION_UNIT=ns",
    ),
    "our own names": (
        {"time": "2026-11-25T12:00:01Z", "customer": "acme", "path": "/a", "status": 200, "duration": 0.5},
        "",
    ),
    "another customer": (
        {"time": "2026-11-25T12:00:01Z", "tenant": "acme", "path": "/a", "status": 200, "duration_ms": 3},
        "LOG_JSON_FIELDS=duration=duration_ms,customer=tenant LOG_DURATION_UNIT=ms",
    ),
    "Kong": (
        {
            "request": {"uri": "/a?b", "method": "GET", "size": 75, "url": "http://shop:8000/a?b"},
            "response": {"status": 200, "size": 434},
            "latencies": {"proxy": 1430, "kong": 9, "request": 1527},
            "client_ip": "192.0.2.7",
            "started_at": 1795608001123,
            "consumer": {"username": "acme", "id": "5d6e"},
        },
        "LOG_JSON_FIELDS=time=started_at,customer=consumer.username,path=request.uri,status=response.status,"
        "duration=latencies.request,method=request.method,bytes=response.size LOG_DURATION_UNIT=ms",
    ),
    "Logback": (
        {
            "@timestamp": "2026-11-25T12:00:01.123+01:00",
            "method": "GET",
            "status_code": 200,
            "requested_url": "GET /a HTTP/1.1",
            "requested_uri": "/a",
            "remote_user": "acme",
            "content_length": 3,
            "elapsed_time": 1,
        },
        "LOG_JSON_FIELDS=time=@timestamp,customer=remote_user,path=requested_uri,status=status_code,"
        "duration=elapsed_time,bytes=content_length LOG_DURATION_UNIT=ms",
    ),
    "Google's load balancer": (
        {
            "httpRequest": {
                "requestMethod": "GET",
                "requestUrl": "https://shop.example.net/a",
                "status": 200,
                "responseSize": "612",
                "latency": "0.012345s",
            },
            "receiveTimestamp": "2026-11-25T12:00:02Z",
            "timestamp": "2026-11-25T12:00:01.123456Z",
        },
        "LOG_JSON_FIELDS=time=timestamp,path=httpRequest.requestUrl,status=httpRequest.status,"
        "duration=httpRequest.latency,method=httpRequest.requestMethod,bytes=httpRequest.responseSize",
    ),
    "Azure's Application Gateway": (
        {
            "timeStamp": "2026-11-25T12:00:01+00:00",
            "operationName": "ApplicationGatewayAccess",
            "properties": {
                "httpMethod": "GET",
                "requestUri": "/a",
                "httpStatus": 200,
                "receivedBytes": 123,
                "sentBytes": 612,
                "timeTaken": 0.012,
            },
        },
        "LOG_JSON_FIELDS=time=timeStamp,path=properties.requestUri,status=properties.httpStatus,"
        "duration=properties.timeTaken,method=properties.httpMethod,bytes=properties.sentBytes",
    ),
    "API Gateway": (
        {
            "requestId": "c6af",
            "user": "acme",
            "requestTime": "25/Nov/2026:12:00:01 +0000",
            "httpMethod": "GET",
            "resourcePath": "/a",
            "status": "200",
            "responseLength": "612",
        },
        "LOG_JSON_FIELDS=time=requestTime,customer=user,path=resourcePath,method=httpMethod,bytes=responseLength",
    ),
    "Cloudflare": (
        {
            "ClientRequestMethod": "GET",
            "ClientRequestURI": "/a",
            "EdgeResponseBytes": 612,
            "EdgeResponseStatus": 200,
            "EdgeStartTimestamp": "2026-11-25T12:00:01Z",
        },
        "LOG_JSON_FIELDS=time=EdgeStartTimestamp,path=ClientRequestURI,status=EdgeResponseStatus,"
        "method=ClientRequestMethod,bytes=EdgeResponseBytes",
    ),
    "Echo, whose latency names its unit": (
        {
            "time": "2026-11-25T12:00:01.123456789Z",
            "method": "GET",
            "uri": "/a",
            "status": 200,
            "latency": 45291,
            "latency_human": "45.291µs",
            "bytes_in": 0,
            "bytes_out": 12,
        },
        "LOG_JSON_FIELDS=path=uri,duration=latency_human,bytes=bytes_out",
    ),
    "Serilog": (
        {
            "@t": "2026-11-25T12:00:01.1234567Z",
            "RequestMethod": "GET",
            "RequestPath": "/a",
            "StatusCode": 200,
            "Elapsed": 1.3456,
        },
        "LOG_JSON_FIELDS=time=@t,path=RequestPath,status=StatusCode,duration=Elapsed,method=RequestMethod "
        "LOG_DURATION_UNIT=ms",
    ),
    "Lograge": (
        {
            "method": "GET",
            "path": "/a",
            "controller": "A",
            "action": "index",
            "status": 200,
            "duration": 1.34,
            "@timestamp": "2026-11-25T12:00:01.123Z",
        },
        "LOG_JSON_FIELDS=time=@timestamp LOG_DURATION_UNIT=ms",
    ),
    "GitLab": (
        {"method": "GET", "path": "/a", "status": 200, "time": "2026-11-25T12:00:01.123Z", "duration_s": 120},
        "LOG_JSON_FIELDS=duration=duration_s",
    ),
    "Linkerd": (
        {
            "client.id": "shop",
            "method": "GET",
            "response_bytes": "19",
            "status": 200,
            "timestamp": "2026-11-25T12:00:01.123456789Z",
            "total_ns": "1234",
            "uri": "/a",
        },
        "LOG_JSON_FIELDS=time=timestamp,customer=client.id,path=uri,duration=total_ns,bytes=response_bytes "
        "LOG_DURATION_UNIT=ns",
    ),
    "no other names but those that no line needs": (
        {"time": "2026-11-25T12:00:01Z", "path": "/a", "status": 200, "took": 0.5, "verb": "GET", "size": 3},
        "LOG_JSON_FIELDS=duration=took,method=verb,bytes=size",
    ),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_the_members_of_objects_are_found_by_their_names(name: str) -> None:
    record, expected = OBJECTS[name]
    assert found((json.dumps(record) + "\n").encode() * 3) == " ".join(filter(None, ["LOG_FORMAT=json", expected]))


REQUEST = '"GET /a HTTP/1.1"'
KNOWN = {
    "API Gateway": f"192.0.2.7 - acme [{NOW}]{REQUEST} 200 612 c6af9ac6-7b61",
    "APISIX": f'192.0.2.7 - acme [{NOW}] shop.example.net {REQUEST} 200 612 0.012 "-" "curl/8" 10.0.0.1:80 200 0.011 '
    '"http://shop.example.net/a"',
    "S3": f"79a5 bucket [{NOW}] 192.0.2.3 acme 3E57 REST.GET.OBJECT a {REQUEST} 200 - 612 612 12 6 "
    '"-" "S3Console/0.4" - abc= SigV4 ECDHE AuthHeader s3.amazonaws.com TLSv1.2 - -',
    "CloudFront, real-time": "1795608001.123\t192.0.2.7\t0.002\t200\t612\tGET\thttps\tshop.example.net\t/a\t370\tFRA2"
    "\tabc==\tacme\t0.012\tHTTP/2.0\tIPv4",
    "Squid": "1795608001.123     12 192.0.2.7 TCP_MISS/200 612 GET /a acme HIER_DIRECT/10.0.0.1 text/html",
    "lighttpd": f'192.0.2.7 shop.example.net acme [{NOW}] {REQUEST} 200 612 "-" "curl/8"',
    "Heroku": '2026-11-25T12:00:01.123456+00:00 heroku[router]: at=info method=GET path="/a" host=acme request_id=86 '
    'fwd="192.0.2.7" dyno=web.1 connect=1ms service=12ms status=200 bytes=612 protocol=https',
    "Gin": '[GIN] 2026/11/25 - 12:00:01 | 200 |      12.291µs |       192.0.2.7 | GET      "/a"',
    "chi": f"2026/11/25 12:00:01 {REQUEST} from 192.0.2.7:50000 - 200 612B in 12.2ms",
    "Lograge": "I, [2026-11-25T12:00:01.123456 #7]  INFO -- : [6e1f] method=GET path=/a format=html controller=A "
    "action=show status=200 allocations=5 duration=12.34 view=1.00 db=0.50",
    "uWSGI": "[pid: 7|app: 0|req: 1/1] 192.0.2.7 (acme) {28 vars in 345 bytes} [Wed Nov 25 12:00:01 2026] GET /a => "
    "generated 612 bytes in 12 msecs (HTTP/1.1 200) 2 headers in 79 bytes (1 switches on core 0)",
    "Granian": f"[2026-11-25 12:00:01 +0000] 192.0.2.7 - {REQUEST} 200 12.234",
    "Django's runserver": f"[25/Nov/2026 12:00:01] {REQUEST} 200 612",
    "uvicorn without a time, in CRI": f"2026-11-25T12:00:01.1Z stdout F INFO:     192.0.2.7:42 - {REQUEST} 200 OK",
}


@pytest.mark.parametrize("name", PATTERNS)
def test_the_pattern_of_a_program_is_known(name: str) -> None:
    data = f"{KNOWN[name]}\n".encode() * 3
    best = find(Sample(data, False))
    assert best is not None
    assert best.settings.log_format == "regex"
    assert {setting: getattr(best.settings, setting) for setting in PATTERNS[name]} == PATTERNS[name]
    assert not best.is_unit_guessed
    requests = best.settings.parser()(data).requests
    assert (requests.request_methods()[0], requests.request_paths()[0]) == ("GET", "/a")
    assert requests.statuses.tolist() == [200] * 3
    assert requests.sizes[0] in (612, -1)
    assert requests.latencies[0] in ((12, -1) if name != "Gin" else (0,))
    has_customer = "(?P<customer>" in PATTERNS[name]["log_pattern"]
    assert requests.customer_ids()[0] == ("acme" if has_customer else "-")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            f"web_1  | {combined(user='acme')}".encode(),
            "Without its beginning, 'web_1  | ', a line is understood as LOG_FORMAT=combined",
        ),
        (f"[pod/shop-1] {combined(user='acme')}".encode(), "Without its beginning, '[pod/shop-1] ',"),
        (
            json.dumps({"log": combined(user="acme").strip(), "stream": "stdout"}).encode() + b"\n",
            "LOG_WRAPPER=docker would join them all",
        ),
        (b"GET /a 200 5.123 ms - 612\n", "The lines have no time"),
        (
            b'{"time":1795608001123,"req":{"method":"GET","url":"/a"}}\n'
            b'{"time":1795608001124,"res":{"statusCode":200},"responseTime":1.2}\n',
            "seem to have a time, a path and a status, but not in one line",
        ),
        (b'level=info ts=2026-11-28T10:00:01.123Z msg="POST /a (204) 1.2ms"\n', "seem to have no path and no status"),
        (b"192.0.2.7, acme, 11/28/2026, 10:00:01, W3SVC1, WEB, 10.0.0.1, 45, 163, 32, 200, 0, GET, /a, -,\n", "W3C"),
        (combined(user="acme").encode("utf-16"), "is UTF-16, and logs have to be UTF-8: `iconv"),
        (combined(user="acme").encode("utf-16-be"), "The lines seem to be UTF-16."),
        (
            b"2026-11-28T10:00:01.1Z stdout F #Fields: date time cs-method cs-uri-stem sc-status\n"
            b"2026-11-28T10:00:01.2Z stdout F 2026-11-28 10:00:01 GET /a 200\n",
            "There are lines with #Fields in LOG_WRAPPER=cri: unwrap them",
        ),
    ],
    ids=[
        "Compose",
        "kubectl",
        "Fluent Bit",
        "morgan",
        "Fastify",
        "Loki",
        "IIS's own",
        "UTF-16",
        "UTF-16 without a mark",
        "W3C in CRI",
    ],
)
def test_what_helps_is_said_where_no_line_is_understood(content: bytes, said: str, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(content)
    end = check(log)
    assert end.returncode == 1
    assert said in end.stdout + end.stderr


def test_of_several_numbers_for_the_duration_it_is_said_which_one_counts(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(combined(user="acme", extras=" 184512 0") * 3)
    assert "several numbers in place of the duration, such as 184512, 0. The first number counts." in check(log).stdout
    log.write_text(combined(user="acme", extras=" 0.512") * 3)
    assert "several numbers" not in check(log).stdout


def test_a_value_with_a_name_is_found_as_the_customer() -> None:
    lines = [combined(extras=f' rt=0.1 tenant="cust_{n % 3}" urt=0.1') for n in range(20)]
    assert found("".join(lines).encode()) == "LOG_FORMAT=combined LOG_CUSTOMER_FROM=value:tenant"


@pytest.mark.parametrize(
    ("line", "expected", "customer"),
    [
        (
            'logger=context userId=1 orgId=7 t=2026-11-28T10:00:01.123Z level=info msg="Request Completed" method=GET '
            "path=/a status=200 remote_addr=192.0.2.7 time_ms=5 duration=5.1ms size=12 referer= handler=/a",
            "LOG_FORMAT=logfmt LOG_JSON_FIELDS=time=t,customer=orgId,bytes=size",
            "7",
        ),
        (
            'time="2026-11-28T10:00:01Z" level=info msg="" ClientUsername="a \\"b\\"" Duration=1234567 '
            'DownstreamStatus=200 RequestMethod=GET RequestPath="/a?x=1 2"',
            "LOG_FORMAT=logfmt LOG_JSON_FIELDS=path=RequestPath,status=DownstreamStatus,duration=Duration,"
            "method=RequestMethod LOG_DURATION_UNIT=ns",
            "-",
        ),
        (
            '{"host":"192.0.2.7","user":"acme","time":"[28/Nov/2026:10:00:01 +0000]","request":"GET /a HTTP/1.1",'
            '"statusCode":"200","size":"612"}',
            "LOG_FORMAT=json LOG_JSON_FIELDS=customer=user,request=request,status=statusCode,bytes=size",
            "acme",
        ),
    ],
    ids=["Grafana", "Traefik's log", "Tomcat"],
)
def test_values_with_names_are_found(line: str, expected: str, customer: str) -> None:
    data = f"{line}\n".encode() * 3
    assert found(data) == expected
    best = find(Sample(data, False))
    assert best is not None
    requests = best.settings.parser()(data).requests
    assert (requests.customer_ids()[0], requests.request_paths()[0]) == (customer, "/a")


def test_a_member_that_holds_something_else_is_not_taken() -> None:
    lines = [
        json.dumps({"time": "soon", "ts": 1795608001, "status": "ok", "code": 200, "path": 7, "url": "/a"}).encode()
    ]
    assert json_fields(lines) == {"time": "ts", "status": "code", "path": "url"}


WRAPPERS: dict[str, Callable[[str], str]] = {
    "cri": lambda line: f"2026-11-28T10:00:01.123456789Z stdout F {line}",
    "docker": lambda line: json.dumps({"log": line, "stream": "stdout", "time": "2026-11-28T10:00:01.1Z"}) + "\n",
    "syslog": lambda line: f"Nov 28 10:00:01 web1 nginx: {line}",
    "": lambda line: line,
}
LOGS = {
    "combined": [combined(user=f"cust_{n}", extras=f" 0.{n:03d}") for n in range(5)],
    "json": [json.dumps(OBJECTS["our own names"][0]) + "\n"] * 5,
    "pino": [json.dumps(OBJECTS["pino-http"][0]) + "\n"] * 5,
    **{
        file.stem: file.read_text().splitlines(keepends=True)[:5]
        for file in sorted(DATA.glob("*.txt"))
        if file.stem not in ("cloudfront", "iis")
    },
}


@settings(max_examples=25)
@given(st.sampled_from(sorted(LOGS)), st.sampled_from(sorted(WRAPPERS)), st.randoms(use_true_random=False), st.data())
def test_printed_settings_work_when_they_are_pasted(
    name: str, wrapper: str, random: Random, data: st.DataObject
) -> None:
    lines = [WRAPPERS[wrapper](line) for line in LOGS[name]]
    broken = data.draw(
        st.lists(st.sampled_from(["", "garbage in a line\n", "\x00\x01\x02\x03 binary \x85\n"]), max_size=2)
    )
    random.shuffle(lines)
    text = "".join([*lines, *broken]).encode()
    best = find(Sample(text, False))
    assert best is not None
    variables: Mapping[str, str] = dict(part.split("=", 1) for part in shlex.split(best.settings.described()))
    assert variables.get("LOG_WRAPPER", "") == wrapper
    pasted_settings = LogFormat(**{name.lower(): value for name, value in variables.items()})  # type: ignore[arg-type]
    assert pasted_settings == best.settings
    again = pasted_settings.parser()(text)
    assert len(again.requests) == len(lines)
    assert all(customer != "-" for customer in again.requests.customer_ids()) or name not in (
        "combined",
        "json",
        "pino",
    )


def test_what_is_printed_is_what_the_processor_reads_with(tmp_path: Path) -> None:
    log = tmp_path / "it's access.log"
    log.write_text("".join(combined(extras=f' "cust_{n % 3}" {n * 1000}') for n in range(20)))
    end = check(log)
    assert (end.returncode, end.stderr) == (0, "")
    variables = pasted(end.stdout)
    assert variables == {"LOG_FORMAT": "combined", "LOG_CUSTOMER_FROM": "extra1", "LOG_DURATION_UNIT": "us"}
    again = check(log, **variables)
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == end.stdout.splitlines()[0]
    assert "Settings" not in again.stdout


def test_less_than_all_is_said_by_the_exit_status(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(combined(user="acme") * 3 + "garbage\x1b[31m that is no request\n")
    end = check(log)
    assert end.returncode == 1
    assert end.stdout.startswith(f"{log}: 3 of 4 lines are understood as LOG_FORMAT=combined.\n")
    assert "Rejected as fields: 1\n  line 4: " in end.stdout
    assert "\x1b" not in end.stdout
    # Lines that are older than what is kept are understood, and it is said that they would be rejected.
    log.write_text(combined(user="acme").replace(NOW[7:11], "2001") * 3)
    end = check(log)
    assert end.returncode == 0
    assert "Rejected as too_old: 3" in end.stdout


def test_a_line_in_parts_that_goes_on_after_the_sample_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    line = combined(user="acme").strip()
    part = f"2026-11-28T10:00:01.123456789Z stdout P {line[:50]}\n2026-11-28T10:00:01.223456789Z stdout F {line[50:]}\n"
    whole = f"2026-11-28T10:00:01.123456789Z stdout F {line}\n"
    log.write_text(whole * (LINES - 1) + part * 3)
    end = check(log)
    assert end.returncode == 0
    assert f"{log}: 999 of 999 lines are understood as LOG_FORMAT=combined LOG_WRAPPER=cri." in end.stdout
    log.write_text(whole + part + "garbage\n")
    end = check(log)
    assert f"{log}: 2 of 3 lines are understood" in end.stdout
    assert "  line 4: 'garbage'" in end.stdout


def test_a_log_of_something_else_than_requests_is_not_taken_for_one() -> None:
    line = json.dumps({"time": "2026-11-25T12:00:01Z", "level": "info", "msg": "started", "path": "", "code": "ok"})
    assert found((line + "\n").encode() * 20) == ""


def test_of_a_long_log_the_first_lines_are_read(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(combined(user="acme") * (LINES + 1))
    end = check(log)
    assert end.returncode == 0
    assert f"{log}: 1,000 of 1,000 lines are understood" in end.stdout
    assert "These are its first 1,000 lines; it has more." in end.stdout


def test_of_a_log_of_long_lines_fewer_are_read(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    deep = '{"time": "2026-11-25T12:00:01Z", "customer": "a", "path": "/a", "status": 200, "x": %s}\n'
    log.write_text(deep % ("[" * 30_000 + "]" * 30_000) * 150)
    end = check(log)
    assert end.returncode == 0
    assert f"{log}: 18 of 18 lines are understood as LOG_FORMAT=json." in end.stdout
    assert "These are its first 18 lines; it has more." in end.stdout


@pytest.mark.parametrize("encoding", ["C", "POSIX", "en_US.ISO-8859-1"])
def test_whatever_a_line_holds_is_shown_in_any_terminal(encoding: str, tmp_path: Path) -> None:
    log = tmp_path / "access\x1b[31m\udcff.log"
    log.write_bytes(
        combined(user="Müller\u202e\U0001f469", path="/\xfc\x7f").encode() + b"\xff\xfe\x00\x1b]0;title\x07 and so on\n"
    )
    end = check_in_a_process(log, LC_ALL=encoding, PYTHONIOENCODING="ascii")
    assert (end.returncode, end.stderr) == (1, "")
    assert all(" " <= character <= "~" or character == "\n" for character in end.stdout)


def test_a_member_whose_name_a_terminal_obeys_is_not_taken() -> None:
    line = json.dumps({"\x1b]0;\x07time": 1795608001, "ts": 1795608001, "status\u202e": 200, "code": 200}).encode()
    assert json_fields([line]) == {"time": "ts", "status": "code"}


@given(st.binary(max_size=300))
def test_what_is_shown_prints(data: bytes) -> None:
    assert shown(data).isprintable()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "has no lines."),
        (b"\x7fELF" + bytes(range(256)) * 20, "lines are understood"),
        (b"\x00" * 300_000, "lines are understood"),
        (b"x" * 300_000 + b"\n", "0 of 1 lines are understood in any format."),
        (b"\n\n\n", "0 of 3 lines are understood in any format."),
        (b'{"time":1795608001,"path":"/","st\\"atus":200,"a":"b"}\n{"b":1}\n', "1 of 2 lines are understood"),
        (b"PK\x03\x04 something", "is a zip archive"),
        (b"\x1f\x8b\x08\x00 not at all", "is no whole compressed file"),
    ],
)
def test_what_is_no_log_is_said_without_a_traceback(content: bytes, said: str, tmp_path: Path) -> None:
    log = tmp_path / "file"
    log.write_bytes(content)
    end = check(log)
    assert end.returncode == 1
    assert said in end.stdout + end.stderr
    assert "Traceback" not in end.stderr
    assert len(end.stdout) < 5_000


def test_a_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        end = check(path)
        assert (end.returncode, end.stdout, end.stderr.count("\n")) == (1, "", 1)


def test_check_needs_nothing_of_the_processor(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(combined(user="acme"))
    nowhere = {"STORAGE": "influxdb", "LOG_FILE_PATH": "/nowhere/at/all.log", "DEAD_LETTERS_PATH": "/proc/none/x"}
    assert check_in_a_process(log, **nowhere).returncode == 0
    end = check_in_a_process(log, LOG_FORMAT="ncsa")
    assert end.returncode == 78
    assert end.stderr.startswith("LOG_FORMAT=ncsa: ")


def suspected(lines: str, **settings: str) -> list[str]:
    return list(suspicions(LogFormat(**settings).parser()(lines.encode()).requests))  # type: ignore[arg-type]


def test_what_is_suspicious_is_said() -> None:
    of_combined = {"log_format": "combined"}
    assert suspected(combined(user="acme", extras=" 0.1") * 3 + combined(user="b", extras=" 0.1"), **of_combined) == []
    assert any("No line has a customer" in text for text in suspected(combined(), **of_combined))
    assert any("no latencies" in text for text in suspected(combined(user="acme"), **of_combined))
    each = "".join(combined(user=f"request-{n}", extras=" 0.1") for n in range(20))
    assert suspected(each, **of_combined) == ["Each line has a customer of its own. Is it the number of a request?"]
    addresses = {**of_combined, "log_customer_from": "remote_addr"}
    assert any("addresses: 192.0.2.7" in text for text in suspected(combined(extras=" 0.1"), **addresses))
    agents = {**of_combined, "log_customer_from": "user_agent"}
    assert any("programs: curl" in text for text in suspected(combined(extras=" 0.1"), **agents))
    slow = suspected(combined(user="acme", extras=" 1500"), **of_combined)
    assert any("LOG_DURATION_UNIT" in text for text in slow)
    none = suspected(combined(user="acme", extras=" 0.1").replace(" 200 ", " - "), **of_combined)
    assert none == ["1 lines have no status: they are failed requests."]


@pytest.mark.parametrize(
    ("customers", "look"),
    [
        (["192.0.2.7", "::1", "[2001:db8::1]:443", "acme"], "addresses"),
        (["192.0.2.7, 198.51.100.4"], "addresses"),
        (["2026-11-28T10:00:01Z", "28/Nov/2026:10:00:01 +0000"], "times"),
        (["1795860001"], "times"),
        (["Mozilla/5.0 (X11)"], "browsers and other programs"),
        (["https://a.example/"], "addresses of pages"),
        (["acme", "42", "123456", "Müller GmbH", "192.0.2.7"], None),
        ([], None),
    ],
)
def test_what_customers_look_like(customers: list[str], look: str | None) -> None:
    found_look = what_looks_like(customers)
    assert (found_look and found_look[0]) == look


def test_it_is_quick(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with log.open("w") as file:
        file.writelines(combined(user="acme") for _ in range(200_000))
    before = os.times()
    assert check_in_a_process(log).returncode == 0
    after = os.times()
    # Seconds of CPU, of which starting takes one.
    assert after.children_user - before.children_user < 10
