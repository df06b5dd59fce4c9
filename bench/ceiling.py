"""What InfluxDB itself takes: the points of a log, ready in line protocol, over two bare connections."""

import http.client
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from bench.fresh_stores import FreshStore

CONNECTIONS = 2
# Of 10,000 it takes a twentieth less, and of 40,000 no more.
LINES_A_REQUEST = 20_000


def line_protocol(log: Path) -> list[bytes]:
    """The points that the processor makes of a log without odd lines, as the bodies of requests."""
    with log.open(encoding="ascii") as lines:
        points = _points(lines)
        return list(iter(lambda: "\n".join(islice(points, LINES_A_REQUEST)).encode(), b""))


def _points(lines: Iterator[str]) -> Iterator[str]:
    seconds: dict[str, int] = {}
    buckets: dict[str, int] = {}
    offset = 0
    for line in lines:
        stamp = line[:19]
        customer, path, status, duration = line[20:-1].split(" ")
        if stamp not in seconds:
            seconds[stamp] = int(datetime.fromisoformat(stamp).replace(tzinfo=timezone.utc).timestamp())
        if customer not in buckets:
            buckets[customer] = zlib.crc32(customer.encode()) % 256
        yield (
            f"api_requests,log=api_requests,generation=0,bucket={buckets[customer]} "
            f'customer_id="{customer}",request_path="{path}",status_code={status}i,duration={duration} '
            f"{seconds[stamp] * 10**9 + (offset >> 4)}"
        )
        offset += len(line)


def send(fresh: FreshStore, bodies: list[bytes]) -> float:
    """Seconds to store them all."""
    assert fresh.server is not None
    address = urlsplit(fresh.server.url).netloc
    bucket = fresh.store.environment["INFLUXDB_BUCKET"]
    url = f"/api/v2/write?{urlencode({'org': fresh.server.org, 'bucket': bucket})}"
    headers = {"Authorization": f"Token {fresh.server.admin_token}"}
    left = iter(bodies)

    def work() -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        for body in left:
            connection.request("POST", url, body, headers)
            response = connection.getresponse()
            response.read()
            if response.status != http.client.NO_CONTENT:
                raise RuntimeError(f"InfluxDB answers with status {response.status}")
        connection.close()

    began = time.monotonic()
    with ThreadPoolExecutor(CONNECTIONS) as senders:
        for sender in [senders.submit(work) for _ in range(CONNECTIONS)]:
            sender.result()
    return time.monotonic() - began
