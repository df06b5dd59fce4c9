"""The contract between the pipeline and what it stores in: everything that a backend must do.

    log_processor --(synchronous half)--> Storage <--(asynchronous half)-- api

A store is three things: requests, rows by key, and a lease. A writer has requests, rows and a lease of its own; readers
add the rows of all writers up.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from request_log.requests import Requests
from rollups.counts import DailyAggregate, DailyKey, Kind, RollupKey, RollupRow
from storage.keys import FileKey, Rows, StateName
from storage.ledger import StoredIntent, WriterState
from storage.logs import FileRow, LedgerRow
from storage.observed import ObservedEnd
from storage.requests import FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests

MAIN = "main"
"""The writer of a store that has one."""
LATEST_INTENTS = 2
"""How many intents a reader asks for that has seen none: those of the last commit and of one that is under way."""


class Storage(ABC):
    """A connection to the store, as one of its writers or as a reader.

    A method raises StorageUnavailable or StorageRefused when it fails; each may be called again with the same
    arguments, and twice stores the same as once.
    """

    SENDERS: ClassVar[int]
    """How many threads may store requests at once, and beside a `write`."""
    LINES_HELD: ClassVar[int]
    """Of so many lines the requests may be held in memory until a `flush`."""
    BYTES_HELD: ClassVar[int]
    """And of so many bytes of a log."""

    @abstractmethod
    def set_up(self) -> None:
        """Make what the store needs before its first use. Again: no harm."""

    # The lease of a writer.

    @abstractmethod
    def acquire(self) -> int:
        """Take the writer's lease: its token, higher than those before.

        From here on a write that an earlier process left under way can no longer put an old row over a new one.
        LeaseHeld where another process has the lease; that of a dead one is taken over within seconds.
        """

    @abstractmethod
    def check_lease(self) -> None:
        """LeaseHeld where another process has taken the lease, StorageRefused where the store was emptied or put back
        since it was taken."""

    @abstractmethod
    def close(self) -> None:
        """Release the lease and close the connection of the synchronous half."""

    # Requests.

    @abstractmethod
    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        """What stores these requests when it is called, each under the identity that its place gives it; at the latest
        when the next `flush` returns. Its answer: which of them the store refuses for what they are, by their places in
        all parts together. All parts are taken before this returns."""

    @abstractmethod
    def flush(self) -> None:
        """Store the requests that are held in memory. It may run in a thread while other methods are called."""

    @abstractmethod
    def read_requests(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        """The stored requests of these ranges, some at a time, those of a file in its order; those of the seconds
        from `oldest` to `newest` (Unix time, inclusive), at least.

        An offset may be up to 15 bytes further into its line than where that begins.
        """

    # Rows of this writer.

    @abstractmethod
    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        """Those of these rows that are there."""

    @abstractmethod
    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        """The last segment of each of these that has any."""

    @abstractmethod
    def read_state(self, name: StateName) -> str:
        """The row of a StateKey; "" where there is none."""

    @abstractmethod
    def read_intent(self, number: int) -> str:
        """The intent of this commit of counts that was written last; "" where there is none."""

    @abstractmethod
    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        """All rows of a LogKey and of a RolledUpKey by their log, and between them those of a FileKey."""

    @abstractmethod
    def remove_files(self, keys: Collection[FileKey]) -> None:
        """Remove the rows of these files."""

    @abstractmethod
    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        """Remove the requests of a log's files, of which none is counted any more; and daily rows without counts, for a
        customer without requests is none."""

    @abstractmethod
    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        """Remove the rows of a log and of its files; that of its LogKey last."""

    @abstractmethod
    def write(self, *groups: Rows) -> None:
        """Replace these rows. All of a group are stored, durably, before any of the next one is. It may be under way in
        a thread while other methods are called, but for another `write`."""

    @abstractmethod
    def remove_expired(self, oldest_day: int) -> None:
        """Remove what is of days before `oldest_day` (days since 1970-01-01)."""

    @abstractmethod
    def compact(self) -> None:
        """Remove some of the rows that were replaced and of the intents that are not kept: about once a second."""

    # Asking: the api. Days are UTC days since 1970-01-01, ranges inclusive. Rows are those of all writers together.

    @abstractmethod
    async def ping(self) -> None:
        """Return when the store answers."""

    @abstractmethod
    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        """The counts of a customer, or of all together (None), of each day in the range that has any."""

    @abstractmethod
    async def rollups(self, group: int, kinds: Collection[Kind], first: int, last: int) -> dict[int, list[RollupRow]]:
        """All segments of a group's roll-ups of these kinds, of each day in the range that has any."""

    @abstractmethod
    async def requests(self, customer: str, start: int, end: int, outcome: Outcome, limit: int) -> list[LoggedRequest]:
        """The latest requests of a customer from `start` until before `end` (Unix time, s), at most `limit`; the latest
        first, of one second those that lie further on in their log. As far as the ledger is, or further."""

    @abstractmethod
    async def knows(self, customer: str) -> bool:
        """Whether there are requests of this customer on any day."""

    @abstractmethod
    async def customer_names(self) -> list[str]:
        """All customers that have counts."""

    @abstractmethod
    async def customers(
        self, customers: Sequence[str] | None, first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        """The counts of some hundred customers at most, or of all (None), of each day in the range that has any.
        Customers without requests in the range are left out."""

    @abstractmethod
    async def states(self) -> list[WriterState]:
        """The state of each writer, in the order of their names."""

    @abstractmethod
    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        """The intents of counts of these writers, of each from a place on (None: the LATEST_INTENTS), in the order of
        their places. Those of a commit whose ledger is seen are among them, as far as they are kept."""

    @abstractmethod
    async def logs(self) -> list[tuple[str, LedgerRow]]:
        """How far each writer is in each of its logs, in the order of their names; the writer first."""

    @abstractmethod
    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        """The latest sighting of each log, with its writer."""

    @abstractmethod
    async def files(self) -> list[tuple[str, FileRow]]:
        """All files of all logs, with their writer."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection of the asynchronous half."""
