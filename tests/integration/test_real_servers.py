"""Logs that real servers write, configured as the documentation says: what was sent to them is what is understood.

A server has written all lines when it has ended.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import pytest

import servers
from log_processor.commands.check.finding import find
from log_processor.commands.check.sample import Sample
from log_processor.format_settings import LogFormat
from request_log.requests import NONE, Parsed
from servers import AUTHORIZATION, STRANGE, USER, Running, Sent
from until import wait_until

CUSTOMERS = ["acme", "Müller GmbH", 'quo"te', "back\\slash", "-"]
PATHS = ["/orders/1?page=2", "/missing/a%20b", "/broken", "/a"]
# Without a limit of time for slow clients a server waits for more of these.
SLOW = ("408", "408 in the first line", "HTTP/0.9")


class Log(NamedTuple):
    """A log of a server, and what is in it beside what was sent."""

    server: Callable[[Path], AbstractContextManager[Running]]
    name: str
    settings: dict[str, str]
    has_customers: bool = True
    """Whether X-Customer is logged, and is what the settings look for."""
    renamed: Callable[[str], str] = str
    """What the server makes of a customer."""
    left_out: tuple[str, ...] = ()
    """What of STRANGE it does not log."""
    has_latencies: bool = True
    unlogged: tuple[int, ...] = ()
    """Statuses of answers that it does not log."""


def latin(text: str) -> str:
    return text.encode().decode("latin-1")


def without_marks(text: str) -> str:
    """Where the field of a text with quotation marks ends, nobody knows."""
    return "-" if '"' in text else text


LOGS = {
    "nginx": Log(servers.nginx, "customers.log", servers.settings("nginx")),
    "nginx, JSON": Log(servers.nginx, "objects.log", {"log_format": "nginx", "log_customer_from": "header:X-Customer"}),
    "nginx, JSON without escape=json": Log(
        servers.nginx, "escaped.log", {"log_format": "nginx", "log_customer_from": "header:X-Customer"}
    ),
    "nginx, combined": Log(servers.nginx, "combined.log", {"log_format": "nginx"}, False, has_latencies=False),
    "ingress-nginx": Log(servers.nginx, "ingress.log", {"log_format": "nginx"}, False),
    "Apache": Log(servers.apache, "customers.log", servers.settings("Apache")),
    "Apache, vhost_combined": Log(
        servers.apache, "other_vhosts_access.log", {"log_format": "apache"}, False, has_latencies=False
    ),
    "Apache, combined": Log(servers.apache, "combined.log", {"log_format": "apache"}, False, has_latencies=False),
    "Apache, common": Log(servers.apache, "common.log", {"log_format": "apache"}, False, has_latencies=False),
    "HAProxy": Log(servers.haproxy, "output", servers.settings("HAProxy")),
    "HAProxy, httpslog": Log(servers.haproxy_https, "output", servers.settings("HAProxy")),
    "HAProxy, clf": Log(servers.haproxy_clf, "output", servers.settings("HAProxy")),
    "gunicorn": Log(
        servers.gunicorn,
        "access.log",
        servers.settings("gunicorn", 1),
        renamed=latin,
        left_out=SLOW,
        unlogged=(400, 414),
    ),
    "uvicorn": Log(
        servers.uvicorn,
        "access.log",
        {"log_format": "uvicorn"},
        False,
        left_out=SLOW,
        has_latencies=False,
        unlogged=(400,),
    ),
    "Caddy": Log(
        servers.caddy,
        "access.log",
        servers.settings("Caddy"),
        left_out=(*SLOW, "a star", "NULs"),
        unlogged=(400, 431),
    ),
    "Envoy": Log(servers.envoy, "access.log", servers.settings("Envoy")),
    "Envoy, text": Log(servers.envoy, "text.log", servers.settings("Envoy", 1), renamed=without_marks),
    "Traefik": Log(servers.traefik, "access.log", servers.settings("Traefik")),
}


def sent_and_understood(log: Log, folder: Path) -> tuple[list[Sent], list[int | None], Parsed, bytes]:
    """What was sent, the statuses that the answers to STRANGE had, what is understood of the log, and the log."""
    strange = [name for name in STRANGE if name not in log.left_out]
    with log.server(folder) as running:
        sent = [servers.send(running.port, customer, "GET", path) for customer in CUSTOMERS for path in PATHS]
        sent.append(servers.send(running.port, "acme", "POST", "/orders"))
        path = folder / log.name
        wait_until(lambda: path.exists() and path.read_bytes().count(b"\n") >= len(sent), f"{path} has what was sent")
        statuses = servers.send_strange(running.port, strange)
        statuses = [status for status in statuses if status not in log.unlogged]
        wait_until(lambda: path.read_bytes().count(b"\n") >= len(sent) + len(statuses), f"{path} has all lines")
    data = path.read_bytes()
    return sent, statuses, LogFormat(**log.settings).parser()(data), data  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LOGS)
def test_what_a_server_logs_is_what_was_sent_to_it(name: str, tmp_path: Path) -> None:
    log = LOGS[name]
    sent, statuses, (requests, rejected, skipped, _), data = sent_and_understood(log, tmp_path)
    assert not rejected
    assert not skipped
    assert len(requests) == data.count(b"\n") >= len(sent) + len(statuses)
    first = requests.select([place < len(sent) for place in range(len(requests))])
    # Queries may hold secrets, so they are left out. Threads of a server may log requests in another order.
    wanted = [(one.method, one.path.partition("?")[0], one.status) for one in sent]
    logged_first = list(zip(first.request_methods(), first.request_paths(), first.statuses.tolist(), strict=True))
    assert Counter(logged_first) == Counter(wanted)
    if log.has_customers:
        customers = zip(first.customer_ids(), first.request_paths(), strict=True)
        assert Counter(customers) == Counter((log.renamed(one.customer), one.path.partition("?")[0]) for one in sent)
    assert all((latency != NONE) == log.has_latencies for latency in first.latencies)
    assert first.latencies.max() < 10_000
    # Some answers have no status, and some requests are answered by closing the connection.
    answered = Counter(status for status in statuses if status is not None)
    logged = Counter(requests.statuses[len(sent) :].tolist())
    assert not answered - logged
    assert (logged - answered).total() == len(requests) - len(sent) - answered.total()
    assert 0 not in logged or name == "HAProxy, clf"


@pytest.mark.parametrize("name", ["nginx, combined", "Apache, vhost_combined", "Apache, common"])
def test_who_signs_in_is_the_customer_by_default(name: str, tmp_path: Path) -> None:
    log = LOGS[name]
    with log.server(tmp_path) as running:
        assert servers.send(running.port, "-", "GET", "/signed", AUTHORIZATION).status is not None
        servers.send(running.port, "-", "GET", "/a")
    parsed = LogFormat(**log.settings).parser()((tmp_path / log.name).read_bytes())  # type: ignore[arg-type]
    assert parsed.requests.customer_ids() == [USER, "-"]
    assert not parsed.rejected


def test_gunicorns_user_may_hold_a_space(tmp_path: Path) -> None:
    with servers.gunicorn(tmp_path) as running:
        servers.send(running.port, "-", "GET", "/a", AUTHORIZATION)
    parsed = LogFormat(log_format="gunicorn").parser()((tmp_path / "access.log").read_bytes())
    assert parsed.requests.customer_ids() == [USER]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("nginx", "LOG_FORMAT=combined LOG_CUSTOMER_FROM=extra1"),
        ("nginx, JSON", "LOG_FORMAT=nginx LOG_CUSTOMER_FROM=header:X-Customer"),
        ("Apache, vhost_combined", "LOG_FORMAT=apache"),
        ("HAProxy", "LOG_FORMAT=haproxy"),
        ("uvicorn", "LOG_FORMAT=uvicorn"),
    ],
)
def test_check_finds_out_whose_log_it_is(name: str, settings: str, tmp_path: Path) -> None:
    found = find(Sample((sent_and_understood(LOGS[name], tmp_path))[3], False))
    assert found is not None
    assert found.settings.described() == settings
