"""A log goes in through the processor's own handler, and the statistics come back out of the store.

Runs by itself as well, as in `python -m unittest test_logprocessor_storage_integration`: against the InfluxDB that
TEST_INFLUXDB_URL names, and against SQLite where it names none.
"""

import asyncio
import tempfile
import threading
import unittest
from datetime import date
from pathlib import Path

import oracle
from chunks import chunk_of
from influxd import named_server
from lines import CUSTOMERS, valid_lines
from log_processor.counting.start import start
from log_processor.parsing.batch import parse_chunk
from log_processor.process.reporter import Reporter
from log_processor.storing.dead_letters import DeadLetters
from log_processor.storing.log_handler import LogHandler
from request_log.formats.simple import parse
from rollups.figures import figures_of_counts
from storage.contract import Storage
from storage.influxdb import InfluxStorage
from storage.sqlite import SqliteStorage
from stores import days_of


class TestCustomerStatsIntegration(unittest.TestCase):
    """The handler and the store, without the dataflow around them."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        if server := named_server():
            self.storage: Storage = InfluxStorage(server.url, server.org, server.new_bucket(), server.admin_token)
        else:
            self.storage = SqliteStorage(self.folder / "requests.sqlite")
        self.storage.set_up()
        self.addCleanup(self.storage.close)

    def test_log_handler_and_storage(self) -> None:
        lines = valid_lines(1_000, days=5)
        counting = start(self.storage, self.storage.acquire(), "simple")
        self.assertEqual(counting.logs.committed, {})
        commit_each_look = threading.Event()
        commit_each_look.set()
        handler = LogHandler(
            self.storage,
            *counting,
            DeadLetters(self.folder / "dead_letters.jsonl", 1_000_000, {}, self.storage.check_lease),
            Reporter(self.storage, list, self.folder / "heartbeat"),
            lambda: 0,
            commit_each_look,
        )
        self.addCleanup(handler.close)
        # The beginning of a file is committed before its lines come.
        for part in (b"", lines):
            handler.handle(parse_chunk(chunk_of(part), parse, 0, counting.logs.file, self.storage.prepare))
            handler.end_look()

        truth = oracle.days_of(lines)
        for customer, days in asyncio.run(self.daily()).items():
            with self.subTest(customer=customer):
                self.assertEqual(days, {day: row for (who, day), row in truth.items() if who == customer})

    async def daily(self) -> dict[str | None, dict[str, oracle.Figures]]:
        """Customer, or None for all, -> date -> figures, as the store has them."""
        stored = {customer: await days_of(self.storage, customer, 0, 100_000) for customer in [*CUSTOMERS, None]}
        # One connection serves one event loop, so all is asked in one.
        await self.storage.aclose()
        return {
            customer: {
                str(date.fromordinal(date(1970, 1, 1).toordinal() + day)): figures_of_counts(counts)
                for day, counts in days.items()
            }
            for customer, days in stored.items()
        }


if __name__ == "__main__":
    unittest.main()
