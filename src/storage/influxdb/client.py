"""InfluxDB's HTTP interface: writes, deletes, and questions in InfluxQL."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

import msgspec
import urllib3

from storage.errors import StorageError, StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

_NANOSECONDS = 10**9
# The parameters of a question whose answer comes in parts, with the points of a part.
_IN_PARTS = {"chunked": "true", "chunk_size": "10000"}
# Bytes of a chunked answer that are decoded at once, at least.
_BYTES_A_PART = 1 << 20
# Bytes of an answer that are read at once, at most.
_BYTES_A_READ = 1 << 20
# Bytes of an answer, or of a part of one. The server in the place of InfluxDB may send without an end.
_MOST_BYTES = 256 << 20
# An answer may take this many times as long as its server may be silent: a server may send a byte now and then.
_TIMEOUTS_AN_ANSWER = 10
# Characters of what a server says, in the messages of errors.
_MOST_TOLD = 500
# HTTP statuses of a request that is wrong or too large.
_BAD_REQUEST = {400, 413}
# HTTP statuses that no retry can change.
_REFUSALS = {401, 403, 404, 422}
# In the message of an error about points that the bucket's retention does not keep.
_HAS_EXPIRED = "outside retention policy"
# The media types of answers. The server encodes long texts in MessagePack in a quarter of the time.
_MESSAGEPACK, _JSON = "application/x-msgpack", "application/json"

Row = dict[str, Any]
"""A row of an answer: column -> value, with the tags of GROUP BY, and the measurement as `measurement`."""

Key = TypeVar("Key")


class BadRequest(StorageRefused):
    """The request is wrong or too large. Nothing of it was stored."""


class _Unreadable(StorageUnavailable):
    """The answer is damaged, or comes from another server."""


class _Series(msgspec.Struct):
    columns: list[str]
    values: list[list[Any]]
    name: str
    tags: dict[str, str] = {}


class _Result(msgspec.Struct):
    """What answers a statement of a question."""

    series: list[_Series] = []
    error: str | None = None


class _Answer(msgspec.Struct):
    results: list[_Result]


_DECODERS: dict[str, Callable[[bytes], _Answer]] = {
    _MESSAGEPACK: msgspec.msgpack.Decoder(_Answer).decode,
    _JSON: msgspec.json.Decoder(_Answer).decode,
}


def latest(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, Row]:
    """The latest row of each key: that with the highest fencing token, see storage.influxdb.lease; in schema 4, slot.

    Points of a series come in the order of time, so the row that comes last is the latest.
    """
    return {key(row): row for row in rows}


class Client:
    """A connection to a server. `timeout`: seconds that it may be silent during a response."""

    def __init__(self, url: str, org: str, token: str, timeout: float) -> None:
        self._api = f"{url.rstrip('/')}/api/v2"
        self._url = f"{url.rstrip('/')}/query"
        self._org = org
        # To compress a response takes the server several times as long as everything else.
        self._headers = {"Authorization": f"Token {token}", "Accept-Encoding": "identity"}
        self._timeout = timeout
        # urllib3, because its responses are not part of reference cycles: the processor reads many rows back and
        # hardly ever collects cycles. Two connections, because a heartbeat may come while a request is under way.
        self._pool = urllib3.PoolManager(maxsize=2, timeout=timeout, retries=False)
        self._session: ClientSession | None = None
        """The connections of the asynchronous half, which belong to one event loop."""

    def write(self, bucket: str, lines: bytes) -> None:
        """Write points, all of them or none; but leave out those that have expired by the server's clock."""
        try:
            self._do("write", {"bucket": bucket, "precision": "ns"}, lines, "text/plain; charset=utf-8")
        except StorageRefused as error:
            # The server has stored all other points.
            if _HAS_EXPIRED not in str(error):
                raise

    def write_in_halves(self, bucket: str, lines: Sequence[bytes]) -> None:
        """Write points, in halves where they are too large for one request."""
        if not lines:
            return
        try:
            self.write(bucket, b"\n".join(lines))
        except BadRequest:
            if len(lines) == 1:
                raise
            self.write_in_halves(bucket, lines[: len(lines) // 2])
            self.write_in_halves(bucket, lines[len(lines) // 2 :])

    def delete(self, bucket: str, predicate: str, first: int, last: int) -> None:
        """Remove the points of these series from the time `first` to `last` (Unix time, ns, inclusive)."""
        request = {"start": _rfc3339(first), "stop": _rfc3339(last), "predicate": predicate}
        self._do("delete", {"bucket": bucket}, json.dumps(request).encode(), "application/json")

    def _do(self, what: str, parameters: Mapping[str, str], body: bytes, media_type: str) -> None:
        """Have the server do something that it has no answer to."""
        url = f"{self._api}/{what}?{urlencode({'org': self._org, **parameters})}"
        with _errors(), self._request("POST", url, {"Content-Type": media_type}, body) as response:
            answer = self._whole(response).decode(errors="replace")
        # The page of a proxy, say for a login, has the status 200.
        if response.status != HTTPStatus.NO_CONTENT and response.status < HTTPStatus.BAD_REQUEST:
            raise StorageUnavailable(f"Another server answers in the place of InfluxDB, with status {response.status}")
        if response.status != HTTPStatus.NO_CONTENT:
            raise _error(response.status, answer)

    def ask(self, bucket: str, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows that answer an InfluxQL question of one statement."""
        question = _question(bucket, query, parameters)
        try:
            return self._answer(question, _MESSAGEPACK)
        except _Unreadable:
            # JSON has a substitute for what is not UTF-8 in a damaged row.
            return self._answer(question, _JSON)

    def _answer(self, question: Mapping[str, str], media_type: str) -> list[Row]:
        with _errors(), self._get(question, media_type) as response:
            return _rows(response.status, self._whole(response), media_type)

    def _whole(self, response: urllib3.BaseHTTPResponse) -> bytes:
        """The whole answer of a response."""
        deadline = time.monotonic() + self._timeout * _TIMEOUTS_AN_ANSWER
        answer = bytearray()
        while part := response.read1(_BYTES_A_READ):
            _add(answer, part)
            if time.monotonic() > deadline:
                raise StorageUnavailable("InfluxDB sends its answer too slowly")
        return bytes(answer)

    def ask_in_parts(self, bucket: str, query: str, parameters: Mapping[str, Any]) -> Iterator[list[Row]]:
        """The rows that answer an InfluxQL question of one statement, some at a time."""
        question = _question(bucket, query, parameters) | _IN_PARTS
        with _errors(), self._get(question, _JSON) as response:
            for part in response:
                yield _rows(response.status, part, _JSON)

    async def ask_async(self, bucket: str, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        """The rows that answer an InfluxQL question of one statement."""
        question = _question(bucket, query, parameters)
        try:
            return await self._answer_async(question, _MESSAGEPACK)
        except _Unreadable:
            return await self._answer_async(question, _JSON)

    async def _answer_async(self, question: Mapping[str, str], media_type: str) -> list[Row]:
        async with self._answered(question, media_type) as response:
            answer = bytearray()
            async for part in response.content.iter_any():
                _add(answer, part)
            return _rows(response.status, bytes(answer), media_type)

    async def ask_in_parts_async(
        self, bucket: str, query: str, parameters: Mapping[str, Any]
    ) -> AsyncIterator[list[Row]]:
        """The rows that answer an InfluxQL question of one statement, some thousand at a time."""
        async with self._answered(_question(bucket, query, parameters) | _IN_PARTS, _JSON) as response:
            if response.status != HTTPStatus.OK:
                raise _error(response.status, (await response.content.read(_BYTES_A_READ)).decode(errors="replace"))
            begun = bytearray()
            # Each line of the answer is JSON, and has a series.
            async for part in response.content.iter_any():
                _add(begun, part)
                if len(begun) >= _BYTES_A_PART and b"\n" in part:
                    lines, _, begun = begun.rpartition(b"\n")
                    yield await asyncio.to_thread(_rows_of_lines, bytes(lines))
            if rows := _rows_of_lines(bytes(begun)):
                yield rows

    @asynccontextmanager
    async def _answered(self, question: Mapping[str, str], media_type: str) -> AsyncIterator["ClientResponse"]:
        # Imported here: the processor never gets here, and saves 11 MB of memory.
        import aiohttp

        with _errors():
            if self._session is None:
                timeout = aiohttp.ClientTimeout(
                    total=self._timeout * _TIMEOUTS_AN_ANSWER, sock_connect=self._timeout, sock_read=self._timeout
                )
                # A compressed answer, which nobody asks for, may have a text of any size.
                self._session = aiohttp.ClientSession(headers=self._headers, timeout=timeout, auto_decompress=False)
            try:
                accept = {"Accept": media_type}
                request = self._session.get(self._url, params=question, headers=accept, allow_redirects=False)
                async with request as response:
                    yield response
            except aiohttp.ClientError as error:
                raise _unreachable(error) from error

    def close(self) -> None:
        """Close the connections of the synchronous half."""
        self._pool.clear()

    async def aclose(self) -> None:
        """Close the connections of the asynchronous half."""
        if self._session is not None:
            await self._session.close()

    def _get(self, question: Mapping[str, str], media_type: str) -> urllib3.BaseHTTPResponse:
        return self._request("GET", f"{self._url}?{urlencode(question)}", {"Accept": media_type})

    def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> urllib3.BaseHTTPResponse:
        return self._pool.request(
            method,
            url,
            body=body,
            headers={**self._headers, **headers},
            preload_content=False,
            decode_content=False,
            redirect=False,
        )


def _question(bucket: str, query: str, parameters: Mapping[str, Any]) -> dict[str, str]:
    return {"db": bucket, "epoch": "ns", "q": query, "params": json.dumps(parameters)}


def _rfc3339(nanoseconds: int) -> str:
    """A Unix time (ns) as the delete of InfluxDB expects it."""
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def _rows_of_lines(lines: bytes) -> list[Row]:
    return [row for line in lines.splitlines() for row in _rows(HTTPStatus.OK, line, _JSON)]


def _rows(status: int, answer: bytes, media_type: str) -> list[Row]:
    """The rows in an answer, or in a part of one."""
    if status != HTTPStatus.OK:
        raise _error(status, answer.decode(errors="replace"))
    try:
        results = _DECODERS[media_type](answer).results
    except msgspec.DecodeError as error:
        raise _Unreadable(f"InfluxDB's answer cannot be read: {error}") from error
    return [row for result in results for row in _rows_of(result)]


def _rows_of(result: _Result) -> Iterator[Row]:
    if result.error is not None:
        raise StorageRefused(f"InfluxDB does not answer this question: {result.error}")
    for series in result.series:
        for values in series.values:
            yield dict(zip(series.columns, values, strict=True), measurement=series.name, **series.tags)


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the errors of HTTP into those of the contract."""
    try:
        yield
    except (asyncio.TimeoutError, urllib3.exceptions.HTTPError, OSError) as error:
        raise _unreachable(error) from error


def _unreachable(error: Exception) -> StorageUnavailable:
    # A time-out has no text. Another one may have all that a server said.
    return StorageUnavailable(f"InfluxDB cannot be reached: {(str(error) or type(error).__name__)[:_MOST_TOLD]}")


def _add(answer: bytearray, part: bytes) -> None:
    """Add a part to an answer. StorageUnavailable where it gets too large."""
    answer += part
    if len(answer) > _MOST_BYTES:
        raise StorageUnavailable(f"InfluxDB's answer has more than {_MOST_BYTES:,} bytes")


def _error(status: int, answer: str) -> StorageError:
    text = " ".join(answer.split())[:_MOST_TOLD]
    if status in _BAD_REQUEST:
        return BadRequest(f"InfluxDB refuses with status {status}: {text}")
    if status in _REFUSALS:
        hint = " (is the token right?)" if status in (401, 403) else ""
        return StorageRefused(f"InfluxDB refuses with status {status}{hint}: {text}")
    return StorageUnavailable(f"InfluxDB answers with status {status}: {text}")
