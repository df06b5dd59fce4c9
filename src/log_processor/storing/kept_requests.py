"""Which requests are stored beside their counts. Others are never made ready for the store."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np

from log_processor.parsing.batch import Prepare, StoreRequests
from log_processor.process.retry import until_stored
from request_log.requests import Integers, Requests
from rollups.counts import SUCCESS
from storage.contract import Storage
from storage.kept import KeptRequests, changed, decode_kept, encode_kept
from storage.keys import StateKey
from storage.requests import StoredRequests


def preparing(kept: KeptRequests, prepare: Prepare) -> Prepare:
    """`prepare`, a Storage.prepare, for the requests that are stored alone."""
    if kept == "none":
        return _prepare_none
    if kept == "failed":
        return partial(_prepare_failed, prepare)
    return prepare


def note_kept(storage: Storage, kept: KeptRequests, now: float, oldest: int) -> None:
    """Note which requests are stored from now on, before the first one is. `now`, `oldest`: Unix times (s), the second
    one of the earliest request that is kept."""
    before = until_stored(lambda: decode_kept(storage.read_state("requests")))
    row = encode_kept(changed(before, kept, int(now), oldest))
    if row != encode_kept(before):
        until_stored(partial(storage.write, {StateKey("requests"): row}))


def _prepare_none(parts: Iterable[StoredRequests]) -> StoreRequests:
    for _ in parts:
        pass
    return list


def _prepare_failed(prepare: Prepare, parts: Iterable[StoredRequests]) -> StoreRequests:
    places: list[Integers] = []
    """Of the failed requests, among those of all parts together."""

    def failed() -> Iterator[StoredRequests]:
        before = 0
        for part in parts:
            statuses = part.requests.statuses
            own = np.flatnonzero((statuses < SUCCESS.start) | (statuses >= SUCCESS.stop))
            places.append(before + own)
            before += len(statuses)
            if len(own):
                yield replace(part, of_file=part.of_file[own], requests=_few(part.requests.at(own)))

    store = prepare(failed())
    return partial(_refused, store, places)


def _refused(store: Callable[[], list[int]], places: list[Integers]) -> list[int]:
    refused = store()
    if not refused:
        return []
    found: list[int] = np.concatenate(places)[refused].tolist()
    return found


def _few(requests: Requests) -> Requests:
    """The same requests without customers and paths that none of them has."""
    customers, of_customers = np.unique(requests.customers, return_inverse=True)
    paths, of_paths = np.unique(requests.paths, return_inverse=True)
    return replace(
        requests,
        names=[requests.names[place] for place in customers.tolist()],
        customers=of_customers,
        path_texts=[requests.path_texts[place] for place in paths.tolist()],
        paths=of_paths,
    )
