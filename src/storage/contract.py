"""The contract between the pipeline and what it stores in: everything that a backend must do.

    log_processor --(synchronous half)--> Storage <--(asynchronous half)-- api

Errors:
    StorageError
     |- StorageUnavailable    it may work later: try again
     |- StorageRefused        it will never work like this: wrong token, missing bucket, conflicting types
     |- StorageHeld           another processor writes to this store
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from request_log.line import Reason
from request_log.requests import Requests
from rollups.counts import Breakdown, BreakdownKey, CountsKey, DayCounts, Kind, Outcome, PackedCounts, Position
from storage.changes import Changes, Mark

BACKFILL = "backfill-"
"""What the names of logs begin with that were read once and are not followed."""


class StorageError(Exception):
    """Base of what a store raises; its text is a sentence for people."""


class StorageUnavailable(StorageError):
    """The store is away, overloaded, or did not answer in time. Whether a write was done is then unknown."""


class StorageRefused(StorageError):
    """The store answered that it will not do this: trying again cannot help."""


class StorageHeld(StorageError):
    """Another processor writes to this store: two would overwrite each other's counts."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a log that could not be had any more: from `position` to the end of that generation."""

    position: Position
    reason: str


@dataclass(frozen=True, slots=True)
class Stretch:
    """Requests of a log that are stored and counted but not broken down yet: from `start` to the ledger's position."""

    start: Position
    oldest: int
    """Unix time (s) of the earliest of them."""
    newest: int
    ends: tuple[Position, ...]
    """Where the requests of each generation end; there is one more for each that the log has left since `start`."""

    def generations(self, end: Position) -> Iterator[tuple[int, range]]:
        """Each generation that has requests before `end`, and the offsets at which they begin."""
        passed = [position for position in self.ends if position.generation < end.generation]
        for generation, offset in (*passed, end):
            yield generation, range(self.start.offset if generation == self.start.generation else 0, offset)


@dataclass(frozen=True, slots=True)
class EndedGeneration:
    """A file of a log that is read no further: through where it was read, and its fingerprint there."""

    log: str
    end: Position
    fingerprint: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """How far we are in one log. From `first` through `position`: lines read = stored + rejected."""

    log: str
    path: str
    """Where the log was followed; rotated files are beside it."""
    first: Position
    """Where the store began with this log: at its beginning, or at what was its end then."""
    position: Position
    fingerprint: str
    """Tells the file of this generation from every other, see log_processor.fingerprint."""
    read: int = 0
    stored: int = 0
    rejected: Mapping[Reason, int] = field(default_factory=Counter)
    gaps: tuple[Gap, ...] = ()
    newest: int = 0
    """Unix time (s) of the latest request stored; 0 where there is none."""
    pending: Stretch | None = None
    """What the breakdowns lack; None: they count all that is stored."""
    ended: tuple[EndedGeneration, ...] = ()
    """Generations that have ended since the row before was stored: they are stored before this one, and not read with
    it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A log's file as the processor last saw it."""

    log: str
    time: float
    """Unix time, s."""
    position: Position
    """Through which the log was read; the ledger may be a little behind."""
    size: int
    """Bytes of the current file."""
    bytes_behind: int
    """Bytes not read, those of rotated files that are still to come included."""


@dataclass(frozen=True, slots=True)
class StoredRequests:
    """Requests of one generation of one log, to be stored."""

    log: str
    generation: int
    requests: Requests


class LoggedRequest(NamedTuple):
    """A request as it was logged; whose it is was asked for."""

    second: int
    """Unix time."""
    millisecond: int | None
    """Of that second; None: the time was logged without a fraction."""
    path: str
    status: int
    duration: float | None
    """Seconds; None: none was logged."""


class Storage(ABC):
    """A connection to the store.

    One process writes, the processor. A method raises StorageUnavailable or StorageRefused when it fails; each may be
    called again with the same arguments, and twice stores the same as once.
    """

    SENDERS: ClassVar[int]
    """How many threads may store requests at once, and beside a `commit`."""
    LINES_HELD: ClassVar[int]
    """Of so many lines the requests may be held in memory until a `commit`, which may be one of nothing else."""
    BYTES_HELD: ClassVar[int]
    """And of so many bytes of a log."""

    # Writing: the processor.

    @abstractmethod
    def set_up(self) -> None:
        """Make what the store needs before its first use. Again: no harm."""

    @abstractmethod
    def begin(self) -> list[LedgerRow]:
        """Begin to write: the ledger, a row a log.

        From here on a write that an earlier process left under way can no longer put an old row of counts over a new
        one. StorageHeld where another processor is alive; a dead one is taken over within seconds.
        """

    @abstractmethod
    def prepare(self, parts: Iterable[StoredRequests]) -> Callable[[], list[int]]:
        """What stores these requests when it is called, each under the identity that its position gives it; at the
        latest when the next `commit` returns. Its answer: which of them the store refuses for what they are, by their
        places in all parts together. All parts are taken before this returns."""

    @abstractmethod
    def read_counts(self, keys: Collection[CountsKey]) -> dict[CountsKey, PackedCounts]:
        """The stored counts of those keys that have any."""

    @abstractmethod
    def commit(self, counts: Mapping[CountsKey, PackedCounts], ledger: Sequence[LedgerRow]) -> None:
        """Replace these rows of counts and, when they are stored, these rows of the ledger. One that has no ledger may
        be under way in a thread while other methods are called, but for another `commit`."""

    @abstractmethod
    def read_breakdowns(self, keys: Collection[BreakdownKey]) -> dict[BreakdownKey, Breakdown]:
        """The last row of each of these breakdowns that have any."""

    @abstractmethod
    def write_breakdowns(self, rows: Mapping[BreakdownKey, Breakdown]) -> None:
        """Replace these rows."""

    @abstractmethod
    def read_requests(self, log: str, stretch: Stretch, end: Position) -> Iterator[StoredRequests]:
        """The stored requests of a stretch of a log that ends before `end`, in the log's order, some at a time.

        An offset may be up to 15 bytes further into its line than where that begins.
        """

    @abstractmethod
    def report(self, sightings: Sequence[Sighting]) -> None:
        """Say where the logs are, and that this processor is alive: about once a second. StorageHeld when another one
        has taken over."""

    @abstractmethod
    def remove_expired(self, oldest_day: int) -> None:
        """Remove what is of days before `oldest_day` (days since 1970-01-01)."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection of the synchronous half; another processor may begin at once."""

    # Asking: the api. Days are UTC days since 1970-01-01, ranges inclusive.

    @abstractmethod
    async def ping(self) -> None:
        """Return when the store answers."""

    @abstractmethod
    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
        """The counts of a customer, or of all together (None), of each day in the range that has any."""

    @abstractmethod
    async def packed_days(self, customer: str | None, first: int, last: int) -> dict[int, PackedCounts]:
        """The same, as it is stored."""

    @abstractmethod
    async def breakdowns(self, customer: str, kind: Kind, first: int, last: int) -> dict[int, list[Breakdown]]:
        """All rows of breakdowns of a customer's group, of each day in the range that has any."""

    @abstractmethod
    async def requests(self, customer: str, start: int, end: int, outcome: Outcome, limit: int) -> list[LoggedRequest]:
        """The latest requests of a customer from `start` until before `end` (Unix time, s), at most `limit`; the latest
        first, of one second those that lie further on in their log. As far as the ledger is, or further."""

    @abstractmethod
    async def knows(self, customer: str) -> bool:
        """Whether there are requests of this customer on any day."""

    @abstractmethod
    async def customers(self, first: int, last: int) -> dict[str, DayCounts]:
        """The counts of every customer over the range; without `applied`. Customers without requests in it are left
        out."""

    @abstractmethod
    async def customer_names(self) -> list[str]:
        """All customers that have counts."""

    @abstractmethod
    async def packed_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, PackedCounts]]:
        """The counts of some hundred customers at most, of all their days in the range. Those without are left out."""

    @abstractmethod
    async def changes(self, since: Mark | None) -> Changes:
        """What the commits after `since` have changed. A commit whose ledger is seen is among them; one that is under
        way need not be."""

    @abstractmethod
    async def ledger(self) -> list[LedgerRow]:
        """The ledger, a row a log."""

    @abstractmethod
    async def progress(self) -> tuple[list[LedgerRow], list[Sighting]]:
        """The ledger, and the latest sighting of each log."""

    @abstractmethod
    async def ended_generations(self) -> list[EndedGeneration]:
        """All files of all logs that were read and are no longer."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection of the asynchronous half."""
