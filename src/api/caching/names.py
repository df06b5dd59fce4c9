"""The names of very many customers in one piece of memory: a name takes its bytes and 4 more, where a text takes 60."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

# Names that are made texts at once.
_PIECE = 10_000


class Names(Sequence[str]):
    """Names in an order. They never change."""

    def __init__(self, text: bytes = b"", ends: NDArray[Any] | None = None) -> None:
        """`text`: all names in UTF-8, one after the other. `ends`: where each ends in it; None: there are no names."""
        self._text = text
        self._bounds = np.zeros(len(ends) + 1 if ends is not None else 1, np.uint32)
        if ends is not None:
            self._bounds[1:] = ends

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        encoded = [name.encode() for name in names]
        return cls(b"".join(encoded), np.cumsum([len(name) for name in encoded], dtype=np.int64))

    @classmethod
    def joined(cls, parts: Sequence["Names"]) -> "Names":
        lengths = np.concatenate([cls()._bounds, *(np.diff(part._bounds) for part in parts)])
        return cls(b"".join(part._text for part in parts), lengths[1:].cumsum())

    def __len__(self) -> int:
        return len(self._bounds) - 1

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> list[str]: ...
    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            first, end, _ = place.indices(len(self))
            bounds = self._bounds[first : max(first, end) + 1].tolist()
            return [self._text[start:stop].decode() for start, stop in pairwise(bounds)]
        place = range(len(self))[place]
        return self._text[self._bounds.item(place) : self._bounds.item(place + 1)].decode()

    def between(self, first: int, end: int) -> "Names":
        """The names at the places from `first` until before `end`."""
        start = self._bounds[first]
        return Names(self._text[start : self._bounds[end]], self._bounds[first + 1 : end + 1] - start)

    def inserted(self, places: Sequence[int], names: Sequence[str]) -> "Names":
        """With further names, each before the one at its place. `places` ascend."""
        encoded = [name.encode() for name in names]
        text = memoryview(self._text)
        cuts = [0, *self._bounds[places].tolist(), len(text)]
        kept = [text[start:stop] for start, stop in pairwise(cuts)]
        pieces = [piece for both in zip(kept, [*encoded, b""], strict=True) for piece in both]
        lengths = np.insert(np.diff(self._bounds), places, [len(name) for name in encoded])
        return Names(b"".join(pieces), lengths.cumsum())

    def without(self, places: Sequence[int]) -> "Names":
        """Without the names at these places, which ascend."""
        text = memoryview(self._text)
        starts = [0, *(self._bounds.item(place + 1) for place in places)]
        ends = [*(self._bounds.item(place) for place in places), len(text)]
        kept = [text[start:stop] for start, stop in zip(starts, ends, strict=True)]
        return Names(b"".join(kept), np.delete(np.diff(self._bounds), places).cumsum())

    def containing(self, text: str) -> Iterator[int]:
        """The places of the names that contain a case-folded text, in either case."""
        for first in range(0, len(self), _PIECE):
            end = min(first + _PIECE, len(self))
            # Most pieces have it nowhere, and need not be cut.
            if text in self._text[self._bounds[first] : self._bounds[end]].decode().casefold():
                yield from (first + place for place, name in enumerate(self[first:end]) if text in name.casefold())
