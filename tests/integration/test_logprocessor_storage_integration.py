"""A log goes in through the processor's own handler, and the statistics come back out of the store.

Runs by itself as well, as in `python -m unittest test_logprocessor_storage_integration`: against the InfluxDB that
TEST_INFLUXDB_URL names, and against SQLite where it names none.
"""

import asyncio
import os
import tempfile
import threading
import unittest
from dataclasses import astuple
from datetime import date
from pathlib import Path

import oracle
from influxd import InfluxServer
from lines import CUSTOMERS, valid_lines
from log_processor.chunk import Chunk
from log_processor.divide import divide
from log_processor.log_handler import LogHandler
from storage.contract import LedgerRow, Storage
from storage.counts import Position
from storage.influxdb import InfluxStorage
from storage.sqlite import SqliteStorage
from storage.statistics import statistics


class TestCustomerStatsIntegration(unittest.TestCase):
    """The handler and the store, without the dataflow around them."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        if url := os.environ.get("TEST_INFLUXDB_URL"):
            server = InfluxServer(url, os.environ["TEST_INFLUXDB_ORG"], os.environ["TEST_INFLUXDB_ADMIN_TOKEN"])
            bucket = server.new_bucket()
            self.open_storage = lambda writer: InfluxStorage(url, server.org, bucket, server.admin_token, writer)
        else:
            path = Path(folder.name) / "requests.sqlite"
            self.open_storage = lambda writer: SqliteStorage(path, writer)
        self.open_storage(None).set_up()

    def test_log_handler_and_storage(self) -> None:
        lines = valid_lines(1_000, days=5)
        chunk = Chunk("log", Position(0, 0), Position(0, len(lines)), lines, "fingerprint")
        writers = self.open_storage(None).WRITERS
        for writer, batch in enumerate(divide(chunk, writers, oldest_day=0)):
            storage = self.open_storage(writer)
            self.addCleanup(storage.close)
            self.assertEqual(storage.begin(), [])
            ledger = [LedgerRow("log", writer, Position(0, 0), "")]
            handler = LogHandler(storage, ledger, lambda: 0, threading.Event())
            handler.handle(batch)
            handler.end_epoch()

        truth = oracle.days_of(lines)
        for customer in [*CUSTOMERS, None]:
            with self.subTest(customer=customer):
                self.assertEqual(
                    self.daily(customer), {day: row for (who, day), row in truth.items() if who == customer}
                )

    def daily(self, customer: str | None) -> dict[str, oracle.Figures]:
        """Date -> figures, as the store has them."""

        async def ask() -> dict[str, oracle.Figures]:
            storage: Storage = self.open_storage(None)
            days = await storage.days(customer, 0, 100_000)
            await storage.aclose()
            return {
                str(date.fromordinal(date(1970, 1, 1).toordinal() + day)): astuple(statistics(days[day]))
                for day in days
            }

        return asyncio.run(ask())


if __name__ == "__main__":
    unittest.main()
