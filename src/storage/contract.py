"""The contract between the pipeline and what it stores in: everything that a backend must do.

    log_processor --(synchronous half)--> Storage <--(asynchronous half)-- api

A store is three things: requests, rows by key, and a lease. A writer has requests, rows and a lease of its own; readers
add the rows of all writers up.

Errors:
    StorageError
     |- StorageUnavailable    it may work later: try again
     |- StorageRefused        it will never work like this: wrong token, missing bucket, conflicting types
     |- StorageHeld           another process has this writer's lease
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, NamedTuple

from request_log.line import Mended, Reason
from request_log.requests import Integers, Requests
from rollups.counts import SUCCESS, DailyKey, DayCounts, Kind, PackedCounts, RollupKey, RollupRow, RollupSegmentKey

BACKFILL = "backfill-"
"""What the names of logs begin with that were read once and are not followed."""
MAIN = "main"
"""The writer of a store that has one."""
LATEST_INTENTS = 2
"""How many intents a reader asks for that has seen none: those of the last commit and of one that is under way."""


class StorageError(Exception):
    """Base of what a store raises; its text is a sentence for people."""


class StorageUnavailable(StorageError):
    """The store is away, overloaded, or did not answer in time. Whether a write was done is then unknown."""


class StorageRefused(StorageError):
    """The store answered that it will not do this: trying again cannot help."""


class StorageHeld(StorageError):
    """Another process has the lease of this writer: two would overwrite each other's counts."""


class Position(NamedTuple):
    """A place in a log: the number of one of its files, and the byte offset in that file.

    Files are numbered as they are found. Numbers say nothing about the order in which the files were written.
    """

    generation: int
    offset: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Bytes of a log that could not be read any more: from `position` to the end of that file."""

    position: Position
    reason: str


@dataclass(frozen=True, slots=True)
class LedgerRow:
    """How far a writer is in one log, all its files together: lines read = stored + rejected + skipped."""

    log: str
    path: str
    """Where the log is followed."""
    first: Position
    """Where the store began with this log: at its beginning, or at what was its end then."""
    position: Position
    """Through which the file at the log's path is read, or the last one that was there."""
    bytes: int = 0
    """Bytes that were read of all its files."""
    read: int = 0
    stored: int = 0
    rejected: Mapping[Reason, int] = field(default_factory=Counter)
    skipped: int = 0
    """Lines that are comments or say what the next ones mean."""
    mended: Mapping[Mended, int] = field(default_factory=Counter)
    """Of how many of the stored requests something was mended, by what it was."""
    gaps: tuple[Gap, ...] = ()
    newest: int = 0
    """Unix time (s) of the latest request stored; 0 where there is none."""
    format: str = ""
    """The settings by which a file was read that somebody handed in; "" for a log that is followed, whose settings may
    change."""


FileState = Literal["live", "open", "closed", "copy"]
"""Of a file when it was committed last.

live    it was at the log's path, or the newest of a log that has no path of its own
open    it was elsewhere, and is read on when it grows
closed  nothing more is read under its number; if it grows, the rest has another number
copy    its bytes are those of another file of the log, so it is not read
"""


@dataclass(frozen=True, slots=True)
class FileRow:
    """A file of a log, and how far it is read."""

    log: str
    generation: int
    """Its number among the files of the log."""
    lane: int = -1
    """Where its requests lie, among all logs of the writer. Files that are read at a time have different lanes. A
    copy, of which nothing is stored, has none (-1)."""
    base: int = 0
    """Bytes of the lane before this file: files of a lane follow one another in it."""
    start: int = 0
    """Offset at which reading began: what is before it is not read under this number."""
    offset: int = 0
    """Offset through which it is read."""
    size: int = 0
    """Bytes that it had when it was seen last."""
    state: FileState = "live"
    path: str = ""
    """Where it was seen last."""
    identity: str = ""
    """Tells the file from every other, see log_processor.following.identity."""
    copy_of: int | None = None
    """The number of the file that a copy has its bytes from."""
    gone: int = 0
    """Since which day (since 1970-01-01) it is not there any more; 0: it is, or was when it was seen last."""
    context: str = ""
    """What it says before `offset` of what is behind it: of a W3C log the `#Fields` in force; of a wrapped one the
    streams of whose line more parts come that are left out."""


class FileId(NamedTuple):
    """A file, and where it lies in its lane. A request is (writer, file, offset)."""

    log: str
    generation: int
    lane: int
    base: int


class Stretch(NamedTuple):
    """Requests of one file: those whose lines begin from `start` until before `end`, in bytes."""

    file: FileId
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class StoredRequests:
    """Requests to be stored, or read back."""

    files: Sequence[FileId]
    of_file: Integers
    """Of each request its place in `files`."""
    requests: Requests
    """Each one's offset is that in its file."""


# The keys of rows, beside DailyKey and RollupSegmentKey.


class LogKey(NamedTuple):
    """How far the counts are in a log: a LedgerRow."""

    log: str


class FileKey(NamedTuple):
    """A FileRow."""

    log: str
    generation: int


class RolledUpKey(NamedTuple):
    """How far the roll-ups have a log: a RolledUp."""

    log: str


class ObservedKey(NamedTuple):
    """Where the processor last saw the end of a log: a Sighting."""

    log: str


class IntentKey(NamedTuple):
    """What a commit of counts is about to do: an Intent. The last thousand are kept."""

    number: int


StateName = Literal["counts", "rollups", "rollups_intent", "report"]


class StateKey(NamedTuple):
    """A row of which a writer has one: the ledger of its counts, that of its roll-ups, the latest intent of the latter,
    and what it reported last."""

    name: StateName


Key = DailyKey | RollupSegmentKey | LogKey | FileKey | RolledUpKey | ObservedKey | IntentKey | StateKey
Rows = Mapping[Key, str]
"""Rows as text, see rollups.rows and storage.ledger. Keys of two kinds may be equal, as LogKey("report") and
StateKey("report") are: such two belong in two of them."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A log's file as the processor last saw it."""

    log: str
    time: float
    """Unix time, s."""
    position: Position
    """Through which the file at the log's path was read; the ledger may be a little behind."""
    size: int
    """Bytes of that file."""
    bytes_behind: int
    """Bytes of all its files that were not read, without a line that is still being written."""
    bytes: int
    """Bytes that were read of all its files; see LedgerRow."""


class StoredIntent(NamedTuple):
    """An intent as a reader of changes finds it."""

    writer: str
    place: int
    """Ascending in the order in which a writer's intents count: of two of a number the later one does."""
    number: int
    row: str


class WriterState(NamedTuple):
    """The rows of a writer that each answer looks at, as text; "" where there is none."""

    writer: str
    counts: str
    rollups: str
    report: str

    @classmethod
    def of(cls, writer: str, rows: Mapping[str, str]) -> "WriterState":
        """`rows`: those of the writer, by the name in their StateKey."""
        return cls(writer, rows.get("counts", ""), rows.get("rollups", ""), rows.get("report", ""))


class LoggedRequest(NamedTuple):
    """A request as it was logged; whose it is was asked for."""

    second: int
    """Unix time."""
    millisecond: int | None
    """Of that second; None: the time was logged without a fraction."""
    path: str
    status: int
    """NO_STATUS: none was logged."""
    duration: float | None
    """Seconds; None: none was logged."""
    method: str | None = None
    """None: none was logged."""
    bytes: int | None = None
    """Of the answer; None: they were not logged."""


Outcome = Literal["all", "failed", "successful"]
OUTCOMES: dict[Outcome, str] = {
    "all": "",
    "failed": f" AND (status_code < {SUCCESS.start} OR status_code >= {SUCCESS.stop})",
    "successful": f" AND status_code >= {SUCCESS.start} AND status_code < {SUCCESS.stop}",
}
"""Which requests those are, in SQL and in InfluxQL."""


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
        StorageHeld where another process has the lease; that of a dead one is taken over within seconds.
        """

    @abstractmethod
    def check_lease(self) -> None:
        """StorageHeld where another process has taken the lease, StorageRefused where the store was emptied or put back
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
    def read_requests(self, stretches: Sequence[Stretch], oldest: int, newest: int) -> Iterator[Requests]:
        """The stored requests of these stretches, some at a time, those of a file in its order; those of the seconds
        from `oldest` to `newest` (Unix time, inclusive), at least.

        An offset may be up to 15 bytes further into its line than where that begins.
        """

    # Rows of this writer.

    @abstractmethod
    def read_daily(self, keys: Collection[DailyKey]) -> dict[DailyKey, PackedCounts]:
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
    async def days(self, customer: str | None, first: int, last: int) -> dict[int, DayCounts]:
        """The counts of a customer, or of all together (None), of each day in the range that has any."""

    @abstractmethod
    async def packed_days(self, customer: str | None, first: int, last: int) -> dict[int, PackedCounts]:
        """The same, as it is stored."""

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
    async def customers(self, first: int, last: int) -> dict[str, DayCounts]:
        """The counts of every customer over the range. Customers without requests in it are left out."""

    @abstractmethod
    async def customer_names(self) -> list[str]:
        """All customers that have counts."""

    @abstractmethod
    async def packed_customers(
        self, customers: Sequence[str], first: int, last: int
    ) -> dict[str, dict[int, PackedCounts]]:
        """The counts of some hundred customers at most, of all their days in the range. Those without are left out."""

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
    async def sightings(self) -> list[tuple[str, Sighting]]:
        """The latest sighting of each log, with its writer."""

    @abstractmethod
    async def files(self) -> list[tuple[str, FileRow]]:
        """All files of all logs, with their writer."""

    @abstractmethod
    async def aclose(self) -> None:
        """Close the connection of the asynchronous half."""
