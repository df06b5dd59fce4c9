"""Logs to catch up on, of the generator's traffic."""

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from random import Random

from log_generator.traffic import Traffic

LINES_A_SECOND = 1_000
LINES_A_WRITE = 10_000
SEED = 1


def write_in_order(path: Path, lines: int, customers: int) -> None:
    """A log in the order of time, a thousand lines a second, that ends now."""
    traffic = Traffic(SEED, customers)
    first = time.time() - lines / LINES_A_SECOND
    with path.open("wb") as log:
        for written in range(0, lines, LINES_A_SECOND):
            log.write(traffic.lines(min(LINES_A_SECOND, lines - written), first + written / LINES_A_SECOND))


def write_at_random(path: Path, lines: int, customers: int, days: int) -> None:
    """A log whose times are spread over so many days before now, in no order."""
    traffic = Traffic(SEED, customers, days)
    with path.open("wb") as log:
        for written in range(0, lines, LINES_A_WRITE):
            log.write(traffic.lines(min(LINES_A_WRITE, lines - written), time.time()))


FORMATS = ("simple", "combined", "json")
_METHODS = {"GET": 80, "POST": 12, "PUT": 4, "DELETE": 3, "HEAD": 1}
_CLIENTS = 20_000
_AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "python-requests/2.32.3",
    "okhttp/4.12.0",
]


def write_formats(paths: Mapping[str, Path], lines: int, customers: int) -> None:
    """The same requests in each of `FORMATS`, in the order of time, as in `write_in_order`; a path has an identifier,
    and every fourth one a query. In `combined` lines have some 200 bytes."""
    traffic = Traffic(SEED, customers)
    random = Random(SEED)
    clients = [".".join(str(random.randrange(1, 255)) for _ in range(4)) for _ in range(_CLIENTS)]
    first = time.time() - lines / LINES_A_SECOND
    with ExitStack() as stack:
        files = {name: stack.enter_context(paths[name].open("w", encoding="ascii")) for name in FORMATS}
        for written in range(0, lines, LINES_A_SECOND):
            count = min(LINES_A_SECOND, lines - written)
            for line in traffic.lines(count, first + written / LINES_A_SECOND).decode().splitlines():
                date, clock, customer, path, status, duration = line.split(" ")
                path += f"/{random.randrange(100_000)}" + (
                    f"?page={random.randrange(9)}" if random.random() < 0.25 else ""
                )
                client, agent = random.choice(clients), random.choice(_AGENTS)
                (method,) = random.choices(list(_METHODS), list(_METHODS.values()))
                size = int(random.lognormvariate(7, 1.2))
                files["simple"].write(f"{date} {clock} {customer} {path} {status} {duration}\n")
                stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.strptime(f"{date} {clock}", "%Y-%m-%d %H:%M:%S"))
                files["combined"].write(
                    f'{client} - {customer} [{stamp}] "{method} {path} HTTP/1.1" {status} {size} '
                    f'"https://shop.example.net/" "{agent}"\n'
                )
                members = {
                    "time": f"{date}T{clock}+00:00",
                    "remote_addr": client,
                    "customer": customer,
                    "method": method,
                    "path": path,
                    "status": int(status),
                    "bytes": size,
                    "duration": float(duration),
                    "user_agent": agent,
                }
                files["json"].write(json.dumps(members, separators=(",", ":")) + "\n")
