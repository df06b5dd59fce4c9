"""Answers requests: with what was built before, as long as nothing of it has changed in the store since."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from heapq import nlargest

from fastapi import Request, Response

from api.caching.change_feed import RecentChanges
from api.caching.customer_days import CustomerDays
from api.caching.customer_figures import CustomerFigures
from api.caching.listed_rows import ListedRows
from api.caching.progress import Progress
from api.caching.single_flight import Built, SharedQuestion
from api.http.metrics import BUILT, KEPT, NOT_MODIFIED, STORE_SECONDS
from api.questions.dates import DateRange
from api.questions.encoding import Answer, encode
from api.questions.statistics import Question, Sources
from api.questions.status import LogsProgress
from storage.change_feed import intents_since, invalidations
from storage.contract import Storage
from storage.errors import StorageUnavailable
from storage.logs import FileRow

_BYTES_BUILT = 32 << 20
_BUILDING_SECONDS = 30.0
# Some hundred kilobytes each at most.
_CUSTOMERS_READY = 200
_OVERHEAD_BYTES = 1_000
# Those that an answer without a body has as well.
_CACHING = [(b"cache-control", b"no-cache"), (b"vary", b"Accept")]
_QUOTED = re.compile(r'"[^"]*"')


@dataclass(frozen=True, slots=True)
class _Named:
    """An answer, and a name of its question."""

    answer: Answer
    name: str
    headers: list[tuple[bytes, bytes]]

    def __len__(self) -> int:
        return len(self.answer) + _OVERHEAD_BYTES


class Answers:
    """The answers from one store."""

    def __init__(self, storage: Storage) -> None:
        self.progress: Callable[[], Awaitable[Progress]] = SharedQuestion(self._look)
        """How far the store is; asked after the call, together for all who wait."""
        self.logs: Callable[[], Awaitable[LogsProgress]] = SharedQuestion(self._look_at_logs)
        """How far each log is; asked in the same way."""
        self.files: Callable[[], Awaitable[list[tuple[str, FileRow]]]] = SharedQuestion(storage.files)
        """All files of the logs, with their writer; asked in the same way."""
        self._recent = RecentChanges()
        self._ledger_hash = b""
        """Of the latest look."""
        listed = ListedRows()
        days = CustomerDays(storage, self._recent, listed)
        self._sources = Sources(storage, days, CustomerFigures(storage, self._recent, listed))
        self._built: Built[_Named] = Built(_BYTES_BUILT, _BUILDING_SECONDS)

    async def respond(self, request: Request, question: Question) -> Response:
        """The response to a question, with an answer that is built anew where what it is about has changed.

        The store is asked each time how far it is and what has changed: so an answer has all that the ledger has. 304
        where the client has it.
        """
        now = await self.progress()
        how = KEPT
        version = question.version(self._recent, now.ledger_hash)

        async def build() -> _Named:
            nonlocal how
            how = BUILT
            return await self._build(question)

        try:
            built = await self._built.get((question, version), build)
        except asyncio.TimeoutError:
            message = f"This answer takes longer than {_BUILDING_SECONDS:g} s. It is still being made: ask again"
            raise StorageUnavailable(message) from None
        # Weak: of two answers with the same one, only `complete_through` can differ.
        tag = f'"{built.name}{now.ledger_hash.hex()}"'
        tag_header = (b"etag", f"W/{tag}".encode())
        if _is_held(request, tag):
            NOT_MODIFIED.inc()
            return _Response(304, [tag_header, *_CACHING], b"")
        how.inc()
        answer = built.answer
        complete_through = now.rolled_up_through_json if question.is_of_roll_ups else now.complete_through_json
        body = complete_through.join(answer.parts)
        headers = [tag_header, *_CACHING, *built.headers, (b"content-length", str(len(body)).encode())]
        if question.format == "csv":
            headers += _raw(_beside_csv(request, answer, complete_through))
        return _Response(200, headers, body)

    @property
    def lost(self) -> int:
        """Another number when it cannot be told what has changed, so that everything is read anew."""
        return self._recent.of_all

    async def make_ready(self, dates: DateRange) -> int:
        """Make the figures of all customers over a range, and read the counts of those with the most requests, for
        whoever asks for them later; how many customers."""
        figures = await self._sources.figures.over(dates.days)
        for customer in nlargest(_CUSTOMERS_READY, figures, key=lambda customer: figures[customer].total_requests):
            await self._sources.days.make_ready(customer, dates.days)
            # Whoever asks meanwhile need not wait for all of them.
            await asyncio.sleep(0)
        return len(figures)

    async def _look(self) -> Progress:
        with STORE_SECONDS.labels("progress").time():
            progress = Progress(await self._sources.storage.states())
            if progress.ledger_hash != self._ledger_hash:
                marks = self._recent.marks
                # Asked after the ledgers: those of their commits are among these.
                intents = await self._sources.storage.intents(intents_since(marks, progress.commits))
                self._recent.note(invalidations(intents, marks, progress.commits))
                self._ledger_hash = progress.ledger_hash
        return progress

    async def _look_at_logs(self) -> LogsProgress:
        storage = self._sources.storage
        progress = await self.progress()
        return LogsProgress(progress, await storage.observed_ends(), await storage.logs())

    async def _build(self, question: Question) -> _Named:
        with STORE_SECONDS.labels("answer").time():
            answer = encode(await question.answer(self._sources), question.format)
        name = blake2b(repr(question).encode(), digest_size=8).hexdigest()
        return _Named(answer, name, _raw({"Content-Type": answer.media_type, **answer.headers}))


class _Response(Response):
    """One whose headers are made already."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        # What adds to them must not add to those of the next one.
        self.raw_headers = list(headers)
        self.body = body
        self.background = None


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _beside_csv(request: Request, answer: Answer, complete_through: bytes) -> dict[str, str]:
    """The headers with what JSON has beside its list."""
    headers = {}
    if complete_through != b"null":
        headers["Complete-Through"] = complete_through.decode().strip('"')
    if answer.next_cursor is not None:
        query = request.url.include_query_params(cursor=answer.next_cursor).query
        headers["Link"] = f'<?{query}>; rel="next"'
    return headers


def _is_held(request: Request, tag: str) -> bool:
    """Whether the client has the answer with this tag (RFC 9110, If-None-Match)."""
    values = [value for name, value in request.scope["headers"] if name == b"if-none-match"]
    if not values:
        return False
    held = b",".join(values).decode("latin-1")
    return held == "*" or tag in _QUOTED.findall(held)
