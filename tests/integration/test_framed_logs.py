"""Logs whose lines are wrapped, come in parts, or say what the next ones mean: through crashes, rotation, backfill and
verify."""

import gzip
import json
import os
import signal
import socket
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import pytest

import servers
from asking import today
from influxd import free_port
from log_processor.format_settings import LogFormat
from pipeline import Pipeline
from request_log.framing.framed import BYTE_ORDER_MARK
from wrapped import CONTAINERS, Part, wrapped

on_sqlite = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


def parts_of(customer: str, *sizes: int) -> list[Part]:
    """A request as a container logs it, the first parts with so many bytes."""
    record = {"time": f"{today()}T10:00:00Z", "customer": customer, "path": "/orders", "status": 200, "duration": 0.1}
    text = json.dumps(record).encode()
    found: list[Part] = []
    for size in sizes:
        found.append(("stdout", False, text[:size]))
        text = text[size:]
    return [*found, ("stdout", True, text)]


def requests(pipeline: Pipeline) -> Counter[str]:
    """The requests of each customer."""
    found: Counter[str] = Counter()
    for (customer, _), figures in pipeline.stored().items():
        if customer is not None:
            found[customer] += figures[0]
    return found


def until(pipeline: Pipeline, read: int) -> None:
    """Until so many lines are read of all logs, and counted."""
    pipeline.until(lambda: sum(row.read for row in pipeline.ledger()) == read, f"{read} lines are read")
    pipeline.until(pipeline.is_committed, "the commit has ended")
    pipeline.until_rolled_up()


def verify(pipeline: Pipeline) -> None:
    end = pipeline.run("verify")
    assert end.returncode == 0, end.stdout + end.stderr


@pytest.mark.parametrize("wrapper", CONTAINERS)
def test_a_crash_between_parts_loses_and_doubles_nothing(pipeline: Pipeline, wrapper: str) -> None:
    pipeline.environment |= {"LOG_FORMAT": "json", "LOG_WRAPPER": wrapper}
    first, second = parts_of("joined", 20, 30), parts_of("next", 10)
    told: list[Part] = [("stderr", True, b"a message of the container")]
    before, _ = wrapped(wrapper, [*parts_of("whole"), first[0], *told])
    pipeline.append(before)
    pipeline.start()
    until(pipeline, 1)
    (row,) = pipeline.files()
    assert row.offset == len(wrapped(wrapper, parts_of("whole"))[0])
    # What waits for its last part is no fault.
    verify(pipeline)
    pipeline.end(signal.SIGKILL)
    pipeline.append(wrapped(wrapper, [first[1]])[0])
    pipeline.start()
    # The log is followed again, up to the same place.
    pipeline.append(wrapped(wrapper, [*first[2:], *parts_of("other")])[0])
    until(pipeline, 4)
    pipeline.append(wrapped(wrapper, second[:1])[0])
    pipeline.end(signal.SIGKILL)
    pipeline.append(wrapped(wrapper, second[1:])[0])
    pipeline.start()
    until(pipeline, 5)
    assert requests(pipeline) == {"whole": 1, "joined": 1, "other": 1, "next": 1}
    (ledger,) = pipeline.ledger()
    assert (ledger.stored, ledger.rejected) == (4, {"fields": 1})
    verify(pipeline)
    (letter,) = map(json.loads, (pipeline.log.parent / "dead_letters.jsonl").read_text().splitlines())
    assert letter["line"].encode() == wrapped(wrapper, told)[0].removesuffix(b"\n")


@on_sqlite
@pytest.mark.parametrize("wrapper", ["", *CONTAINERS, "syslog"])
def test_our_own_format_in_a_wrapper_after_a_byte_order_mark(pipeline: Pipeline, wrapper: str) -> None:
    lines = [f"{today()} 12:00:0{number} acme /orders 200 0.1" for number in range(3)]
    parts: list[Part] = [("stdout", True, line.encode()) for line in lines]
    if wrapper in CONTAINERS:
        data, _ = wrapped(wrapper, [("stdout", False, b""), *parts])
    else:
        header = "Nov 28 10:00:01 web1 app[7]: " if wrapper else ""
        data = "".join(f"{header}{line}\n" for line in lines).encode()
    pipeline.environment["LOG_WRAPPER"] = wrapper
    pipeline.append(BYTE_ORDER_MARK + data + b"no line\n")
    checked = pipeline.run("check", str(pipeline.log))
    assert "not understood" not in checked.stdout
    assert checked.returncode == 1
    pipeline.start()
    until(pipeline, 4)
    assert requests(pipeline) == {"acme": 3}
    verify(pipeline)


def w3c(columns: str, *customers: str) -> bytes:
    """Lines of a log with these columns."""
    values = {"date": str(today()), "time": "10:00:00", "cs-uri-stem": "/orders", "sc-status": "200", "x-a": "x"}
    data = f"#Fields: {columns}\n" if columns else ""
    for customer in customers:
        line = {**values, "cs-username": customer}
        data += " ".join(line[name] for name in (columns or OTHER).split()) + "\n"
    return data.encode()


COLUMNS = "date time cs-username cs-uri-stem sc-status"
OTHER = "sc-status x-a cs-uri-stem cs-username time date"


def test_the_columns_in_force_outlive_crashes_and_rotation(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.environment["LOG_FORMAT"] = "w3c"
    pipeline.append(b"#Version: 1.0\n" + w3c(COLUMNS, "a", "b") + w3c(OTHER, "c"))
    pipeline.start()
    until(pipeline, 6)
    pipeline.end(signal.SIGKILL)
    pipeline.append(w3c("", "d"))
    pipeline.log.rename(tmp_path / "api_requests.log.1")
    pipeline.append(b"no columns yet, so this is none\n" + w3c(COLUMNS, "e"))
    pipeline.start()
    until(pipeline, 10)
    with (tmp_path / "api_requests.log.1").open("ab") as rotated:
        rotated.write(w3c("", "f"))
    until(pipeline, 11)
    assert requests(pipeline) == dict.fromkeys("abcdef", 1)
    verify(pipeline)
    pipeline.end()
    # Compressed while nobody looked, with lines that were not read.
    with (tmp_path / "api_requests.log.1").open("ab") as rotated:
        rotated.write(w3c("", "g"))
    (tmp_path / "api_requests.log.1.gz").write_bytes(gzip.compress((tmp_path / "api_requests.log.1").read_bytes()))
    (tmp_path / "api_requests.log.1").unlink()
    pipeline.start()
    until(pipeline, 12)
    assert requests(pipeline) == dict.fromkeys("abcdefg", 1)
    (ledger,) = pipeline.ledger()
    assert (ledger.stored, ledger.skipped, ledger.rejected) == (7, 4, {"fields": 1})
    verify(pipeline)


NGINX = """
{user}
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr;
events {{}}
http {{
    {temporary}
    access_log syslog:server=127.0.0.1:{syslog},tag=nginx combined;
    access_log syslog:server=127.0.0.1:{syslog},tag=nginx,nohostname combined;
    server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }}
}}
"""


def test_what_nginx_sends_to_syslog_is_understood(tmp_path: Path) -> None:
    nginx = servers.program("nginx")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as syslog:
        syslog.bind(("127.0.0.1", 0))
        syslog.settimeout(20)
        port = free_port()
        temporary = " ".join(
            f"{name}_temp_path {tmp_path}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;" if os.getuid() == 0 else ""
        (tmp_path / "nginx.conf").write_text(
            NGINX.format(user=user, folder=tmp_path, temporary=temporary, syslog=syslog.getsockname()[1], port=port)
        )
        server = subprocess.Popen([nginx, "-c", str(tmp_path / "nginx.conf"), "-e", "stderr"])
        try:
            with httpx.Client(transport=httpx.HTTPTransport(retries=20)) as client:
                client.get(f"http://127.0.0.1:{port}/orders", auth=("acme", "")).raise_for_status()
            lines = b"".join(syslog.recv(1 << 16) + b"\n" for _ in range(2))
        finally:
            server.terminate()
            server.wait(timeout=20)
    requests, rejected, *_ = LogFormat(log_format="combined", log_wrapper="syslog").parser()(lines)
    assert (requests.customer_ids(), requests.request_paths(), rejected) == (["acme"] * 2, ["/orders"] * 2, [])


@on_sqlite
def test_a_backfill_knows_the_columns_of_what_it_reads(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.environment |= {"LOG_FORMAT": "w3c", "START_POSITION": "end"}
    # So long that the same header alone would tell a file.
    header = b"#Remark: " + b"x" * 300 + b"\n"
    old, other = tmp_path / "old.log", tmp_path / "other.log.gz"
    pipeline.append(header + w3c(OTHER, "live"))
    pipeline.start()
    pipeline.until(lambda: bool(pipeline.files()), "the log is followed")
    pipeline.append(w3c("", "followed"))
    until(pipeline, 1)
    old.write_bytes(header + w3c(OTHER, *(f"c{number}" for number in range(40))))
    other.write_bytes(gzip.compress(header + w3c(OTHER, "d")))
    for file in (old, other):
        end = pipeline.run("backfill", str(file))
        assert end.returncode == 0, end.stdout + end.stderr
    verify(pipeline)
    # It has grown since: what is new of it begins without columns.
    with old.open("ab") as grown:
        grown.write(w3c("", "e"))
    assert pipeline.run("backfill", str(old)).returncode == 0
    customers = {"followed", "d", "e", *(f"c{number}" for number in range(40))}
    assert requests(pipeline) == dict.fromkeys(customers, 1)
    pipeline.end()
    assert pipeline.run("backfill", "--forget", str(old)).returncode == 0
    assert requests(pipeline) == {"followed": 1, "d": 1}
