"""The dataflow that people write first: a line a poll, a point a line.

`python -m bench.naive` reads the log at LOG_FILE_PATH to its end, and prints how many seconds that took.
"""

import os
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import bytewax.operators as op
from bytewax.dataflow import Dataflow
from bytewax.inputs import SimplePollingSource
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.testing import run_main
from influxdb_client import Point
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import SYNCHRONOUS


class LineSource(SimplePollingSource[str, None]):
    """A line a poll, a thousand polls a second at most."""

    def __init__(self, path: Path) -> None:
        super().__init__(timedelta(milliseconds=1))
        self._log = path.open()

    def next_item(self) -> str:
        line = self._log.readline()
        if not line:
            raise StopIteration
        return line


class PointSink(DynamicSink[Point]):
    """Writes each point by itself."""

    def build(self, step_id: str, worker_index: int, worker_count: int) -> "PointPartition":
        return PointPartition()


class PointPartition(StatelessSinkPartition[Point]):
    def __init__(self) -> None:
        client = InfluxDBClient(
            os.environ["INFLUXDB_URL"], os.environ["INFLUXDB_TOKEN"], org=os.environ["INFLUXDB_ORG"]
        )
        self._writes = client.write_api(write_options=SYNCHRONOUS)

    def write_batch(self, items: list[Point]) -> None:
        for point in items:
            self._writes.write(os.environ["INFLUXDB_BUCKET"], record=point)


def to_point(line: str) -> Point:
    """A customer's request at its second."""
    day, second, customer, path, status, duration = line.split()
    point: Point = (
        Point("api_requests")
        .tag("customer_id", customer)
        .field("request_path", path)
        .field("status_code", int(status))
        .field("duration", float(duration))
        .time(datetime.fromisoformat(f"{day} {second}").replace(tzinfo=timezone.utc))
    )
    return point


def main() -> None:
    flow = Dataflow("naive")
    lines = op.input("log", flow, LineSource(Path(os.environ["LOG_FILE_PATH"])))
    op.output("points", op.map("parse", lines, to_point), PointSink())
    began = time.monotonic()
    run_main(flow)  # type: ignore[no-untyped-call]
    print(time.monotonic() - began)


if __name__ == "__main__":
    main()
