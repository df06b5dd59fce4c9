"""Hints that requests were misunderstood."""

import ipaddress
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator

from request_log.fields.timestamp import TIMESTAMPS
from request_log.fields.values import NOT_LOGGED
from request_log.meanings import INVALID
from request_log.requests import NONE, Requests

_MANY = 10
"""Lines from which on a coincidence is suspicious."""
_MOST = 0.5
"""Share of customers that look like something else from which on it is suspicious."""
_AGENT = re.compile(r"(?:Mozilla|curl|Wget|python-requests|Go-http-client|okhttp|kube-probe|PostmanRuntime)/")
_PORT = re.compile(r":[0-9]+$")
# Numbers that are too small for a time.
_NUMBER = re.compile(r"[0-9.]{1,9}")
_LONG = 60_000
"""Milliseconds. A longer median latency is suspicious."""


def suspicions(requests: Requests) -> Iterator[str]:
    if not requests:
        return
    lines = len(requests)
    customers = Counter(requests.customer_ids())
    without = customers.pop(NOT_LOGGED, 0)
    if not customers:
        yield f"No line has a customer: all count under {NOT_LOGGED}. LOG_CUSTOMER_FROM sets where it is."
    elif len(customers) == lines >= _MANY:
        yield "Each line has a customer of its own. Is it the number of a request?"
    elif len(customers) == 1 and not without and lines >= _MANY:
        yield f"Every line has the same customer, {next(iter(customers))}."
    if (found := what_looks_like(customers)) is not None:
        yield f"Customers look like {found[0]}: {', '.join(found[1][:3])}."
    timed = sorted(requests.latencies[requests.latencies != NONE].tolist())
    if not timed:
        yield "No line has a duration, so there are no latencies."
    elif timed[len(timed) // 2] >= _LONG:
        yield f"The median latency is {timed[len(timed) // 2] / 1000:,g} s. LOG_DURATION_UNIT sets the unit."
    if no_status := int((requests.statuses == 0).sum()):
        yield f"{no_status:,} lines have no status: they are failed requests."
    if all(requests.path_texts[path] == NOT_LOGGED for path in requests.paths.tolist()):
        yield "No line has a path."


def what_looks_like(customers: Collection[str]) -> tuple[str, list[str]] | None:
    """What most of these customers look like, if not like customers, and the customers that do; else None."""
    looks = defaultdict(list)
    for customer in customers:
        looks[_look(customer)].append(customer)
    looks.pop(None, None)
    look = max(looks, key=lambda look: len(looks[look]), default=None)
    return (look, looks[look]) if look is not None and len(looks[look]) > _MOST * len(customers) else None


def _look(customer: str) -> str | None:
    if _is_address(customer):
        return "addresses"
    if not _NUMBER.fullmatch(customer) and TIMESTAMPS[customer.strip("[]")].second != INVALID:
        return "times"
    if _AGENT.match(customer):
        return "browsers and other programs"
    return "addresses of pages" if customer.startswith(("http://", "https://")) else None


def _is_address(text: str) -> bool:
    first = text.split(",")[0].strip().strip("[]")
    for candidate in (first, _PORT.sub("", first).strip("[]")):
        try:
            ipaddress.ip_address(candidate)
        except ValueError:
            continue
        return True
    return False
