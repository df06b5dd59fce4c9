"""An api of a store, and one client that asks it."""

import http.client
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from bench.fresh_stores import FreshStore
from bench.processes import Service
from influxd import free_port

ALL_DAYS = "to_date=2199-12-31"
"""The days of a question without dates, which the api prewarms."""


class Client:
    """One connection that is kept."""

    def __init__(self, port: int, service: Service) -> None:
        self.port = port
        self._service = service
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def ask(self, path: str) -> tuple[int, bytes]:
        """Status and body of the answer."""
        self._connection.request("GET", path)
        response = self._connection.getresponse()
        return response.status, response.read()

    def list_seconds(self) -> float:
        """How long the api took to make its list of customers."""
        return float(self._service.said().partition(" event=prewarmed ")[2].partition(" seconds=")[2].split()[0])

    def seconds(self, path: str) -> float:
        """How long the answer takes."""
        began = time.perf_counter()
        status, body = self.ask(path)
        took = time.perf_counter() - began
        if status != http.client.OK:
            raise RuntimeError(f"{path} answers with status {status}: {body!r}")
        return took


@contextmanager
def api(fresh: FreshStore) -> Iterator[Client]:
    """An api that has started, made its list of customers, and answered no question of statistics."""
    port = free_port()
    with Service("api", fresh.folder, {"API_PORT": str(port), **fresh.store.environment}) as service:
        service.until_event("prewarmed")
        client = Client(port, service)
        client.seconds("/ready")
        yield client


def customer_path(customer: str, days: str = ALL_DAYS) -> str:
    """The question for these days of a customer."""
    return f"/customers/{quote(customer, safe='')}/stats?{days}"
