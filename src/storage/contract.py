"""The contract with a store: everything that a backend does.

    log_processor --(synchronous half)--> Storage <--(asynchronous half)-- api

A store has three things: requests, rows by key, and leases. Each writer has requests, rows and a lease of its own.
Readers add up the rows of all writers.
"""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

from typing_extensions import Self

from request_log.requests import Requests
from rollups.counts import DailyAggregate, DailyKey, RollupKey, RollupKind, RollupRow, RollupSegmentKey
from storage.keys import FileKey, JournalKey, Rows, StateName
from storage.ledger import StoredIntent, WriterState
from storage.logs import FileRow, LedgerRow
from storage.observed import ObservedEnd
from storage.requests import FileId, LoggedRequest, OffsetRange, Outcome, StoredRequests

LATEST_INTENTS = 2
"""Intents that a reader without a cursor asks for: those of the last commit and of one that is under way."""
INTENTS_KEPT = 1_000
"""Intents of a writer that compaction keeps, at least."""


class Storage(ABC):
    """A connection to the store, as one of its writers or as a reader.

    Each method raises StorageUnavailable or StorageRefused when it fails. It may then be called again with the same
    arguments: to store the same twice stores it once.
    """

    SENDERS: ClassVar[int]
    """Threads that may store requests at once, and beside a `write`."""
    LINES_HELD: ClassVar[int]
    """Requests that may be held in memory until a `flush`, in lines."""
    BYTES_HELD: ClassVar[int]
    """Requests that may be held in memory until a `flush`, in bytes of their log."""

    READS_BY_TIME: ClassVar[bool]
    """Whether `read_requests` holds all requests of its time in memory, and not just some of a range."""

    @abstractmethod
    def set_up(self) -> None:
        """Make what the store needs before its first use. To call it again does no harm."""

    # The lease of a writer.

    @abstractmethod
    def acquire(self) -> int:
        """Acquire the writer's lease, and return its fencing token: higher than all tokens before.

        From here on, a write that an earlier process left under way cannot put an old row over a new one. Raises
        LeaseHeld where another process has the lease. The lease of a dead process is taken over within seconds.
        """

    @abstractmethod
    def check_lease(self) -> None:
        """Return while this process has the lease.

        Raises LeaseHeld where another process has acquired it, StorageRefused where the store was emptied or put back
        to an older state since it was acquired.
        """

    @abstractmethod
    def close(self) -> None:
        """Release the lease and close the connection of the synchronous half."""

    @abstractmethod
    def abandon(self) -> None:
        """Close the connection of the synchronous half, as `close` does, where another process may have the lease: what
        tells of it in the store stays as it is."""

    # Requests.

    @abstractmethod
    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        """A function that stores these requests, each under the identity that its place in its file gives it.

        The requests are stored when the function or, at the latest, the next `flush` returns. The function returns the
        places, among the requests of all parts together, of requests that the store refuses for their content. All
        parts are consumed before `prepare` returns.
        """

    @abstractmethod
    def flush(self) -> None:
        """Store the requests that are held in memory. It may run in a thread while other methods are called."""

    @abstractmethod
    def read_requests(self, ranges: Sequence[OffsetRange], oldest: int, newest: int) -> Iterator[Requests]:
        """The stored requests of these ranges, a part at a time, those of a file in its order.

        The store may leave out requests outside the seconds from `oldest` to `newest` (Unix time, inclusive). A
        request's offset may be up to 15 bytes after the beginning of its line.
        """

    @abstractmethod
    def reads_all_requests(self) -> bool:
        """Whether `read_requests` finds every stored request: not those that schema 4 has stored in InfluxDB."""

    # Rows of this writer.

    @abstractmethod
    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, DailyAggregate]:
        """The daily aggregates of these keys that exist."""

    @abstractmethod
    def read_days(self, customers: Collection[str]) -> dict[str, dict[int, DailyAggregate]]:
        """Customer -> day -> daily aggregate, for those of these customers that have any."""

    @abstractmethod
    def read_customers(self) -> Iterator[Sequence[tuple[str, int]]]:
        """The customers that have a daily aggregate, each with the first day that has one, some at a time."""

    @abstractmethod
    def count_new_customers(self, day: int) -> int:
        """How many customers have a daily aggregate of this day and none of a day before."""

    @abstractmethod
    def read_rollups(self, keys: Collection[RollupKey]) -> dict[RollupKey, RollupRow]:
        """The last segment of each of these roll-ups that exists."""

    @abstractmethod
    def read_state(self, name: StateName) -> str:
        """The row of a StateKey; "" where there is none."""

    @abstractmethod
    def read_intent(self, number: int) -> str:
        """The row of a commit's intent, the one written last; "" where there is none."""

    @abstractmethod
    def read_journal(self, slots: Collection[int]) -> dict[JournalKey, str]:
        """The rows of all parts of these slots."""

    @abstractmethod
    def read_logs(self) -> tuple[dict[str, str], dict[FileKey, str], dict[str, str]]:
        """The rows of all LogKeys by their log, of all FileKeys, and of all RolledUpKeys by their log."""

    @abstractmethod
    def remove_files(self, keys: Collection[FileKey]) -> None:
        """Remove the rows of these files."""

    @abstractmethod
    def remove_requests(self, log: str, files: Collection[FileId]) -> None:
        """Remove the requests of a log's files, none of which is counted any more. Remove daily aggregates without
        counts as well, so that customers without requests are unknown."""

    @abstractmethod
    def remove_log(self, log: str, files: Collection[FileId]) -> None:
        """Remove the rows of a log and of its files, the row of its LogKey last."""

    @abstractmethod
    def write(self, *groups: Rows) -> None:
        """Replace these rows. All rows of a group are durable before any row of the next group is written.

        It may run in a thread while other methods are called, except for another `write`.
        """

    @abstractmethod
    def remove_expired(self, oldest_day: int, oldest_counted_day: int) -> None:
        """Remove requests of days before `oldest_day`, and counts of days before `oldest_counted_day` (days since
        1970-01-01)."""

    @abstractmethod
    def compact(self) -> None:
        """Remove some of the replaced rows, and of the intents that are no longer kept. Called about once a second."""

    # Moving the rows of this writer to another one, whose connection is `other`.

    @abstractmethod
    def counted_days(self) -> list[int]:
        """The days that have daily aggregates, ascending."""

    @abstractmethod
    def read_day(self, day: int) -> tuple[dict[DailyKey, DailyAggregate], dict[RollupSegmentKey, RollupRow]]:
        """All daily aggregates and all segments of roll-ups of a day."""

    @abstractmethod
    def write_both(self, rows: Rows, other: Self, of_other: Rows) -> None:
        """Replace rows of this writer and of another one. InfluxDB and SQLite replace all or none of them, also in a
        crash. No row of the other writer is durable before all of this writer are."""

    @abstractmethod
    def remove_day(self, day: int) -> None:
        """Remove all daily aggregates and roll-ups of a day."""

    @abstractmethod
    def remove_writer(self) -> None:
        """Remove all other rows of this writer, but for that of StateKey("retired"). Requests stay."""

    # Questions of the api, about all writers together. Days are UTC days since 1970-01-01, ranges inclusive.

    @abstractmethod
    async def ping(self) -> None:
        """Return when the store answers."""

    @abstractmethod
    async def daily_of_customer(self, customer: str | None, first: int, last: int) -> dict[int, DailyAggregate]:
        """Day -> daily aggregate of a customer, or of all customers together (None), for days that have one."""

    @abstractmethod
    async def rollups(
        self, group: int, kinds: Collection[RollupKind], first: int, last: int
    ) -> dict[int, list[RollupRow]]:
        """Day -> all segments of a group's roll-ups of these kinds, for days that have any."""

    @abstractmethod
    async def rollups_of_groups(self, groups: Sequence[int], kind: RollupKind, day: int) -> list[RollupRow]:
        """All segments of the roll-ups of some hundred groups at most, of one kind and day."""

    @abstractmethod
    async def requests(
        self, customer: str, start: int, end: int, outcome: Outcome, limit: int, part: str = ""
    ) -> list[LoggedRequest]:
        """The latest requests of a customer from `start` until before `end` (Unix time, s), at most `limit`, whose
        paths have this part.

        The latest request comes first; of one second, the request that lies further on in its log. Requests beyond the
        ledger may be among them.
        """

    @abstractmethod
    async def knows(self, customer: str) -> bool:
        """Whether the customer has a daily aggregate on any day."""

    @abstractmethod
    async def customer_names(self) -> list[str]:
        """All customers that have a daily aggregate."""

    @abstractmethod
    async def daily_of_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, DailyAggregate]]:
        """Customer -> day -> daily aggregate, of some hundred customers. Customers without requests in the range are
        left out."""

    @abstractmethod
    def daily_of_all_customers(self, first: int, last: int) -> AsyncIterator[dict[str, dict[int, DailyAggregate]]]:
        """The same of all customers, some at a time. For very many this takes a tenth of the time."""

    @abstractmethod
    async def states(self) -> list[WriterState]:
        """The state of each writer, in the order of their names."""

    @abstractmethod
    async def intents(self, since: Mapping[str, int | None]) -> list[StoredIntent]:
        """The intents of these writers from a place on (None: the LATEST_INTENTS), in the order of their places.

        The intent of each commit whose ledger was seen before is among them, as long as it is kept.
        """

    @abstractmethod
    async def logs(self) -> list[tuple[str, LedgerRow]]:
        """(writer, ledger row) of each log, in the order of writers and logs."""

    @abstractmethod
    async def observed_ends(self) -> list[tuple[str, ObservedEnd]]:
        """(writer, observed end) of each log, in the order of writers and logs."""

    @abstractmethod
    async def files(self) -> list[tuple[str, FileRow]]:
        """(writer, file) of all files, in the order of writers, logs and generations."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection of the asynchronous half."""
