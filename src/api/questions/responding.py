"""Responses to questions: from the response cache, unless a poll has found that the answer may have changed.

Without the cache, a repeated answer takes 1.7 times the CPU, and a repeated page of the list 3 times as long.
"""

import asyncio
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from hashlib import blake2b
from typing import get_args
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import Request, Response
from starlette.types import Scope as AsgiScope

from api.access.access import Access, forbidden
from api.caching.change_feed import ChangeFeed
from api.caching.loading_cache import LoadingCache
from api.http.etags import client_has
from api.http.metrics import BUILT, CACHED, NOT_MODIFIED, STORE_SECONDS
from api.questions.encoding import Body, encode, with_progress
from api.questions.question import CachedStore, Effort, Question, unknown_customer
from api.questions.turns import ClientLeft, Turns, while_connected
from api.utc import to_day, utc_now
from rollups.counters import UnreadableText
from rollups.counts import RollupKind
from rollups.groups import ALL_CUSTOMERS, group_of
from service.access.scopes import Scope
from storage.damage import damaged, named_daily, named_rollups
from storage.errors import DamagedRow, StorageUnavailable

# Bound of all cached bodies.
_MAX_BYTES = 32 << 20
# What a cached body takes beside its bytes.
_OVERHEAD_BYTES = 1_000
# How long a client waits for an answer, in seconds.
_MAX_SECONDS = 30.0
# The status of a response that nobody receives, for metrics and logs: nginx has given it this meaning.
CLIENT_LEFT = 499
# Headers of a 304 as well.
_CACHING = [(b"cache-control", b"no-cache"), (b"vary", b"Accept")]


@dataclass(frozen=True, slots=True)
class _Cached:
    body: Body
    question_hash: str
    body_hash: str
    headers: list[tuple[bytes, bytes]]
    size: int
    """Bytes, for the cache. It stays as it is, though those of the progress change."""

    def __len__(self) -> int:
        return self.size


class Responder:
    def __init__(self, feed: ChangeFeed, store: CachedStore, access: Access) -> None:
        self._feed = feed
        self._access = access
        self._store = store
        # A question of little effort takes no turn: those that ask at once share what they read.
        self._turns = {Effort.SOME: Turns(4, 1_000), Effort.RANKED: Turns(4, 1_000), Effort.MUCH: Turns(2, 100)}
        self._cache: LoadingCache[_Cached] = LoadingCache(_MAX_BYTES, _MAX_SECONDS)

    async def respond(self, request: Request, question: Question) -> Response:
        """The response to a question: 304 if the client has it.

        Polls the store each time, so that the answer has all that the ledger has. Every question passes here, whether
        a route or the request cache put it. StorageUnavailable if the answer takes too long. HTTPException 403 or 404
        if the caller may not see the answer.
        """
        progress = await self._feed.poll()
        caller = self._access.caller(request.scope)
        scope = caller.scope
        _require_visible(scope, question.about)
        how = CACHED
        version = question.version(self._feed.invalidations, progress.ledger_hash)

        async def build() -> _Cached:
            nonlocal how
            how = BUILT
            return await self._build(question, turns, caller.name_or_address(request.client))

        key = question, version
        effort = question.effort(self._store) if key not in self._cache else Effort.LITTLE
        turns = self._turns.get(effort)
        answer = self._cache.get(key, build)
        try:
            if effort is Effort.MUCH or (turns is not None and turns.are_taken):
                cached = await while_connected(request, answer)
            else:
                cached = await answer
        except ClientLeft:
            return Response(status_code=CLIENT_LEFT)
        except asyncio.TimeoutError:
            message = f"The answer takes longer than {_MAX_SECONDS:g} s. It is still being built: ask again"
            raise StorageUnavailable(message) from None
        # A weak tag: answers with the same tag can differ in `complete_through` and `missing`. The ledger moves with
        # requests of others, so it is not for those who may not see others.
        tag = f'"{cached.question_hash}{progress.ledger_hash.hex() if scope.sees(None) else cached.body_hash}"'
        tag_header = (b"etag", f"W/{tag}".encode())
        if client_has(request.scope, tag):
            NOT_MODIFIED.inc()
            return _RawResponse(304, [tag_header, *_CACHING], b"")
        how.inc()
        complete_through = progress.rolled_up_through_json if question.is_of_rollups else progress.complete_through_json
        missing = progress.missing_for(scope.sees(None))
        body = with_progress(cached.body, complete_through, missing)
        headers = [tag_header, *_CACHING, *cached.headers, (b"content-length", str(len(body)).encode())]
        if question.format == "csv" and complete_through != b"null":
            headers.append((b"complete-through", complete_through.strip(b'"')))
        if question.format == "csv" and missing:
            headers.append((b"missing", ",".join(quote(writer, safe="()") for writer in missing).encode()))
        if cached.body.next_cursor is not None:
            headers.append((b"link", _link_to_next(request, cached.body.next_cursor)))
        return _RawResponse(200, headers, body)

    def may_see(self, scope: AsgiScope, question: Question) -> bool:
        """Whether the caller of a request may see the answer."""
        return self._access.caller(scope).scope.sees(question.about)

    async def _build(self, question: Question, turns: Turns | None, caller: str) -> _Cached:
        async with turns.turn(caller) if turns is not None else nullcontext():
            with STORE_SECONDS.labels("answer").time():
                try:
                    body = encode(await question.answer(self._store), question.format)
                except UnreadableText as error:
                    raise await self._named(error, question.about) from error
        question_hash = blake2b(repr(question).encode(), digest_size=8).hexdigest()
        body_hash = blake2b(body.text, digest_size=16).hexdigest()
        headers = _raw({"Content-Type": body.media_type, **body.headers})
        return _Cached(body, question_hash, body_hash, headers, len(body.text) + _OVERHEAD_BYTES)

    async def _named(self, error: UnreadableText, customer: str | None) -> DamagedRow:
        """The error with the name of the row that cannot be read, among those of a customer or of all together (None).

        Counters are read long after their rows, and many at once. Only a failure looks for the row.
        """
        storage, last = self._store.storage, to_day(utc_now().date()) + 1
        group = ALL_CUSTOMERS if customer is None else group_of(customer)
        rows = named_daily({customer: await storage.daily_of_customer(customer, 0, last)})
        segments = named_rollups(group, await storage.rollups(group, get_args(RollupKind), 0, last))
        return damaged(error, [*rows, *segments])


class _RawResponse(Response):
    """A response whose headers are complete and encoded, which makes a fifth more answers a second."""

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        self.status_code = status
        self.raw_headers = headers
        self.body = body
        self.background = None


def _require_visible(scope: Scope, customer: str | None) -> None:
    if scope.sees(customer):
        return
    if customer is not None and scope.customers:
        raise unknown_customer(customer)
    raise forbidden()


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


def _link_to_next(request: Request, cursor: str) -> bytes:
    """The `Link` to the next page (RFC 8288): the same question with its cursor."""
    # Without `request.url`, which has the Host in it and fails on some.
    parameters = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = urlencode([*(one for one in parameters if one[0] != "cursor"), ("cursor", cursor)])
    return f'<?{query}>; rel="next"'.encode()
