"""Turns a chunk of lines into batches of requests, one for each writer: each customer has one."""

from collections.abc import Iterator
from functools import lru_cache

from log_processor.chunk import Batch, Chunk
from request_log.line import Reason
from request_log.parser import Rejected, Requests, parse
from storage.contract import writer_of


def divide(chunk: Chunk, writers: int, oldest_day: int) -> Iterator[Batch]:
    """The batches of writers 0, 1, ..., some perhaps without requests: each writer's ledger moves on all the same.

    Lines of days before `oldest_day` (days since 1970-01-01) are rejected. Rejected lines have no customer, and go to
    writer 0.
    """
    requests, rejected = _parse(chunk, oldest_day)
    for writer in range(writers):
        share = (
            requests if writers == 1 else requests.select([_writer(c, writers) == writer for c in requests.customers])
        )
        yield Batch(chunk.log, chunk.start, chunk.end, chunk.fingerprint, share, rejected if writer == 0 else [])


def _parse(chunk: Chunk, oldest_day: int) -> tuple[Requests, list[Rejected]]:
    if chunk.overlong is not None:
        return Requests(), [Rejected(chunk.start.offset, Reason.TOO_LONG, chunk.overlong.beginning)]
    return parse(chunk.lines, chunk.start.offset, oldest_day)


_writer = lru_cache(maxsize=100_000)(writer_of)
