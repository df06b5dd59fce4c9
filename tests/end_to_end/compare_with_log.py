"""Compares every figure of the api, of every customer and day, with one computed from the log.

It shares no code with the project and needs only Python. Stop the generator first, or lines that are written meanwhile
make a difference.

    python tests/end_to_end/compare_with_log.py src/log_generator/api_requests.log
"""

import argparse
import json
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

LINE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d) (?P<time>\d\d:\d\d:\d\d) (?P<customer>[^ ]+) [^ ]+ "
    r"(?P<status>\d{3}) (?P<seconds>[\d.]+)",
    re.ASCII,
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
SHOWN_DIFFERENCES = 50
PAGE = 500
Figures = dict[str, Any]


class Request(NamedTuple):
    day: str
    customer: str
    status: int
    milliseconds: int


class Difference(NamedTuple):
    customer: str
    day: str
    figure: str
    log: object
    api: object


def requests_of(log: Path) -> Iterator[Request | None]:
    """Each whole line's request; None for a line that is none."""
    with log.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield request_of(line.removesuffix(b"\n").removesuffix(b"\r"))


def request_of(line: bytes) -> Request | None:
    try:
        text = line.decode()
        match = LINE.fullmatch(text)
        if match is None or CONTROL.search(text):
            return None
        timestamp = datetime.strptime(f"{match['day']} {match['time']}", "%Y-%m-%d %H:%M:%S")
        seconds = Decimal(match["seconds"])
    except (ValueError, ArithmeticError):
        return None
    if not (1970 <= timestamp.year < 2200 and 100 <= int(match["status"]) < 600 and seconds <= 86_400):
        return None
    milliseconds = int((seconds * 1000).quantize(Decimal(1), ROUND_HALF_UP))
    return Request(match["day"], match["customer"], int(match["status"]), milliseconds)


def figures(requests: list[Request]) -> Figures:
    """Counts, uptime and availability in percent, latencies in seconds; each the float nearest to the exact value."""
    total = len(requests)
    successful = sum(200 <= request.status < 400 for request in requests)
    # No line of this format is without a status.
    server_errors = sum(500 <= request.status < 600 for request in requests)
    latencies = sorted(request.milliseconds for request in requests)
    middle = latencies[(total - 1) // 2] + latencies[total // 2]
    nearest_rank = -(-99 * total // 100)
    return {
        "total_requests": total,
        "successful_requests": successful,
        "failed_requests": total - successful,
        "client_errors": sum(400 <= request.status < 500 for request in requests),
        "server_errors": server_errors,
        "uptime": float(Fraction(100 * successful, total)),
        "availability": float(Fraction(100 * (total - server_errors), total)),
        "average_latency": float(Fraction(sum(latencies), 1000 * total)),
        "median_latency": float(Fraction(middle, 2000)),
        "p99_latency": float(Fraction(latencies[nearest_rank - 1], 1000)),
    }


class Api:
    """Asks the api at this address."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._opener = build_opener(ProxyHandler({}))

    def get(self, path: str) -> dict[str, Any]:
        with self._opener.open(self._url + path, timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def statistics(self, customer: str | None) -> dict[str, Any]:
        """A customer's, or all customers' together (None); nothing where the customer is unknown."""
        if customer is None:
            return self.get("/customers/stats")
        name = quote(customer, safe="")
        # Clients and proxies take these two for steps in the path.
        path = f"/customers/stats?customer_id={name}" if customer in (".", "..") else f"/customers/{name}/stats"
        try:
            return self.get(path)
        except HTTPError as error:
            if error.code != 404:
                raise
            return {"daily": []}

    def customers(self) -> dict[str, dict[str, Any]]:
        """The totals of all, by customer."""
        found: dict[str, dict[str, Any]] = {}
        url = f"/customers?sort=customer_id&limit={PAGE}"
        page = self.get(url)
        found.update((row["customer_id"], row) for row in page["customers"])
        while page["next_cursor"] is not None:
            page = self.get(f"{url}&cursor={page['next_cursor']}")
            found.update((row["customer_id"], row) for row in page["customers"])
        return found

    def wait_for(self, requests: int, seconds: float) -> None:
        """Return when it has so many requests, or after so many seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.statistics(None)["total_requests"] < requests:
            time.sleep(0.1)


def differences(customer: str, expected: list[Request], answer: dict[str, Any]) -> Iterator[Difference]:
    """Where an answer of the api is not what the requests say, over the range and for each day."""
    yield from figure_differences(customer, "all days", expected, answer)
    by_day: dict[str, list[Request]] = defaultdict(list)
    for request in expected:
        by_day[request.day].append(request)
    days = {day["date"]: day for day in answer["daily"]}
    if list(days) != sorted(days):
        yield Difference(customer, "all days", "order of days", sorted(days), list(days))
    for day in sorted(by_day.keys() | days.keys()):
        yield from figure_differences(customer, day, by_day.get(day, []), days.get(day, {}))


def figure_differences(
    customer: str, day: str, expected: list[Request], answer: dict[str, Any]
) -> Iterator[Difference]:
    if not expected:
        if answer.get("total_requests"):
            yield Difference(customer, day, "total_requests", 0, answer["total_requests"])
        return
    for figure, value in figures(expected).items():
        if answer.get(figure) != value:
            yield Difference(customer, day, figure, value, answer.get(figure))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG", help="a log file")
    parser.add_argument("--api", default="http://127.0.0.1:8000", help="address of the api (%(default)s)")
    parser.add_argument("--wait", type=float, default=0, metavar="SECONDS", help="until the api has all lines")
    arguments = parser.parse_args()

    api = Api(arguments.api)
    lines = [request for log in arguments.logs for request in requests_of(log)]
    first_kept = api.statistics(None)["from_date"]
    requests = [request for request in lines if request is not None and request.day >= first_kept]
    api.wait_for(len(requests), arguments.wait)

    by_customer: dict[str, list[Request]] = defaultdict(list)
    for request in requests:
        by_customer[request.customer].append(request)
    totals = api.customers()
    found = list(differences("(all)", requests, api.statistics(None)))
    for customer in sorted(by_customer.keys() | totals.keys()):
        expected = by_customer.get(customer, [])
        found += differences(customer, expected, api.statistics(customer))
        found += figure_differences(customer, "in the list", expected, totals.get(customer, {}))

    days = {(request.customer, request.day) for request in requests}
    print(
        f"{len(lines)} lines: {len(requests)} requests of {len(by_customer)} customers on {len(days)} customer days, "
        f"{lines.count(None)} rejected, {len(lines) - lines.count(None) - len(requests)} older than {first_kept}"
    )
    if not found:
        print("The log and the api agree in every figure.")
        return 0
    print(f"{len(found)} figures differ:")
    for row in [Difference._fields, *found[:SHOWN_DIFFERENCES]]:
        print("{:<20} {:<11} {:<20} {:>24} {:>24}".format(*map(str, row)))
    return 1


if __name__ == "__main__":
    sys.exit(main())
