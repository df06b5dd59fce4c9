"""A processor on logs in other formats than ours, and what its `check` says of a file."""

import gzip
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

import oracle
from asking import line, today
from influxd import free_port
from json_log import json_line
from pipeline import Pipeline

on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    {temporary}
    log_format headers '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent '
                       '"$http_referer" "$http_user_agent" "$http_x_customer" $request_time';
    log_format objects escape=json '{{"time":"$time_iso8601","customer":"$http_x_customer","path":"$request_uri",'
                                   '"status":$status,"duration":$request_time}}';
    log_format own '$msec|$http_x_customer|$request_uri|$status|$request_time';
    access_log {folder}/combined.log combined;
    access_log {folder}/headers.log headers;
    access_log {folder}/objects.log objects;
    access_log {folder}/own.log own;
    server {{
        listen 127.0.0.1:{port};
        location / {{ return 200; }}
        location /missing {{ return 404; }}
        location /broken {{ return 503; }}
    }}
}}
"""
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
CUSTOMERS = ["acme", "Müller GmbH", 'quo"te', "back\\slash", "<script>"]
PATHS = ["/orders/1?page=2", "/missing/a%20b", "/broken", '/a"b', "/ünïcödé"]
STATUSES = [200, 404, 503, 200, 200]
OF_NGINX = {
    "headers": {"LOG_FORMAT": "combined", "LOG_CUSTOMER_FROM": "extra1"},
    "objects": {"LOG_FORMAT": "json"},
    "own": {
        "LOG_FORMAT": "regex",
        "LOG_PATTERN": r"(?P<time>[^|]+)\|(?P<customer>.*)\|(?P<path>.*)\|(?P<status>\d+)\|(?P<duration>[^|]+)",
    },
}


@contextmanager
def nginx(folder: Path) -> Iterator[int]:
    """A real nginx that writes its logs into the folder; its port."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("there is no nginx on this machine")
    port = free_port()
    temporary = " ".join(f"{name}_temp_path {folder}/{name};" for name in TEMPORARY)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, temporary=temporary))
    server = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", "stderr"])
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
            client.get(f"http://127.0.0.1:{port}/ready").raise_for_status()
        yield port
    finally:
        server.terminate()
        server.wait(timeout=10)


def ask_nginx(port: int) -> None:
    """Each customer each path, a request that is none, and one of a customer without a name."""
    for customer in CUSTOMERS:
        for path in PATHS:
            head = (
                f'GET {path} HTTP/1.1\r\nHost: a\r\nX-Customer: {customer}\r\nUser-Agent: "a\\\r\nConnection: close\r\n'
            )
            say(port, f"{head}\r\n".encode())
    say(port, b"\x16\x03\x01\x00\x05\r\n\r\n")
    say(port, b"GET / HTTP/1.0\r\n\r\n")


def say(port: int, request: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request)
        while connection.recv(1 << 16):
            pass


@on_sqlite
@pytest.mark.parametrize("name", OF_NGINX)
def test_what_nginx_logs_is_counted_by_customer(pipeline: Pipeline, tmp_path: Path, name: str) -> None:
    with nginx(tmp_path) as port:
        ask_nginx(port)
    log = tmp_path / f"{name}.log"
    lines = log.read_bytes().count(b"\n")
    assert lines == len(CUSTOMERS) * len(PATHS) + 3
    pipeline.start(LOG_FILE_PATH=str(log), **OF_NGINX[name])
    pipeline.until(lambda: [row.read for row in pipeline.ledger()] == [lines], "all lines are read")
    pipeline.until_rolled_up()
    (row,) = pipeline.ledger()
    assert (row.stored, row.rejected) == (lines, {})
    found: Counter[str | None] = Counter()
    failed: Counter[str | None] = Counter()
    for (customer, _), figures in pipeline.stored().items():
        found[customer] += figures[0]
        failed[customer] += figures[2]
    # The first request, the one that was none, and the one of nobody.
    assert found == Counter[str | None]({None: lines, "-": 3}) + Counter(dict.fromkeys(CUSTOMERS, len(PATHS)))
    assert failed == Counter[str | None]({None: 1 + 2 * len(CUSTOMERS), "-": 1}) + Counter(dict.fromkeys(CUSTOMERS, 2))
    paths = Counter(part for (customer, _, part) in pipeline.rolled_up() if customer == "acme" and part != 0)
    assert {"/orders/{id}", "/broken", '/a"b', "/ünïcödé"} <= paths.keys()


@on_sqlite
def test_nginx_without_a_setting_logs_no_durations(pipeline: Pipeline, tmp_path: Path) -> None:
    with nginx(tmp_path) as port:
        ask_nginx(port)
    pipeline.start(LOG_FILE_PATH=str(tmp_path / "combined.log"), LOG_FORMAT="combined")
    pipeline.until(
        lambda: sum(row.stored for row in pipeline.ledger()) == len(CUSTOMERS) * len(PATHS) + 3, "all is read"
    )
    assert {figures[7:] for figures in pipeline.stored().values()} == {(None, None, None)}


def test_requests_without_a_duration_come_through_a_crash(pipeline: Pipeline) -> None:
    log = [
        json_line(f"{today()}T00:00:{n % 60:02d}.{n % 1000:03d}Z", f"cust_{n % 7}", "/a", 200 + n % 300, duration)
        for n in range(3_000)
        for duration in [["", "0.25", f"{n / 1000:.4f}"][n % 3]]
    ]
    pipeline.append(b"".join(log[:1_000]))
    pipeline.start(LOG_FORMAT="json", STREAM_MAX_SIZE="100")
    pipeline.until(lambda: sum(row.stored for row in pipeline.ledger()) > 0, "something is stored")
    pipeline.append(b"".join(log[1_000:]))
    pipeline.close()
    pipeline.start(LOG_FORMAT="json")
    pipeline.until_stored()
    expected: dict[tuple[str | None, str], list[tuple[int, str]]] = {}
    for n in range(3_000):
        duration = ["", "0.25", f"{n / 1000:.4f}"][n % 3]
        for customer in (f"cust_{n % 7}", None):
            expected.setdefault((customer, str(today())), []).append((200 + n % 300, duration))
    assert pipeline.stored() == {key: oracle.figures(requests) for key, requests in expected.items()}
    end = pipeline.run("verify", LOG_FORMAT="json")
    assert end.returncode == 0, end.stdout + end.stderr


NESTED = r"(?P<time>(\S+ ?)+)+ (?P<path>(\S* ?)*)* (?P<status>(\d+)+)"
SLOW = {
    "combined": ({"LOG_FORMAT": "combined"}, b" ["),
    "json": ({"LOG_FORMAT": "json"}, b'{"a":['),
    "regex": (
        {"LOG_FORMAT": "regex", "LOG_PATTERN": NESTED},
        b"a ",
    ),
    "path": ({"LOG_FORMAT": "common", "LOG_CUSTOMER_FROM": "path:^((/a*)*)*b"}, b"/aa"),
}


@on_sqlite
@pytest.mark.parametrize("name", SLOW)
def test_no_line_keeps_the_processor_from_ending(pipeline: Pipeline, name: str) -> None:
    settings, unit = SLOW[name]
    line_of_units = (unit * 60_000)[:60_000]
    if name == "path":
        line_of_units = f'::1 - a [{today():%d/%b/%Y}:00:00:00 +0000] "GET {line_of_units.decode()}" 200 1'.encode()
    pipeline.append((line_of_units + b"\n") * 60)
    pipeline.start(**settings)
    pipeline.until(lambda: "event=following" in pipeline.said(), "it follows the log")
    assert pipeline.end(seconds=5) == 0
    pipeline.start(**settings)
    pipeline.until_stored()
    (row,) = pipeline.ledger()
    assert row.read == 60
    assert (row.stored, sum(row.rejected.values())) == ((60, 0) if name == "path" else (0, 60))


@on_sqlite
def test_check_shows_what_is_understood_and_what_is_not(pipeline: Pipeline, tmp_path: Path) -> None:
    log = tmp_path / "access.log.gz"
    good = b"".join(json_line(f"{today()}T00:00:{n % 60:02d}.5Z", f"cust_{n % 7}", f"/a/{n}") for n in range(1_500))
    log.write_bytes(gzip.compress(b"this is not an object\n" + good))
    end = pipeline.run("check", str(log), LOG_FORMAT="json")
    assert end.returncode == 1
    assert end.stderr == ""
    shown = end.stdout
    assert shown.startswith(f"{log}: 999 of 1,000 lines are understood as LOG_FORMAT=json.\n")
    for text in (
        f"times      {today()} 00:00:00 to {today()} 00:00:59 UTC, with fractions of a second",
        "customers  7: cust_0 (143)",
        "paths      /a/{id} (999)",
        "statuses   200 (999)",
        "999 lines have none",
        "Rejected as fields: 1\n  line 1: 'this is not an object'",
    ):
        assert text in shown
    assert not pipeline.ledger()


@on_sqlite
def test_check_says_which_format_would_fit(pipeline: Pipeline, tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_bytes(line(today(), "cust_1") * 3)
    end = pipeline.run("check", str(log), LOG_FORMAT="common")
    assert end.returncode == 1
    assert end.stdout.splitlines()[-1] == "LOG_FORMAT=simple would understand 3 of these lines."
    end = pipeline.run("check", str(log), LOG_FORMAT="simple")
    assert (end.returncode, end.stdout.splitlines()[0]) == (
        0,
        f"{log}: 3 of 3 lines are understood as LOG_FORMAT=simple.",
    )


@on_sqlite
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory."),
        (gzip.compress(b"a line\n" * 1_000, mtime=0)[:-20], "is no whole compressed file:"),
    ],
)
def test_check_of_what_is_no_log_says_so(
    pipeline: Pipeline, tmp_path: Path, content: bytes | None, message: str
) -> None:
    log = tmp_path / "access.log.gz"
    if content is not None:
        log.write_bytes(content)
    end = pipeline.run("check", str(log))
    assert end.returncode == 1
    assert end.stderr.startswith(f"{log} {message}")
    assert end.stderr.count("\n") == 1
