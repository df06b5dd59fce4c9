"""Counters of integers as text, which is the same in every store."""

import struct
from binascii import a2b_base64, b2a_base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import cast

import msgspec
import numpy as np
from numpy.typing import NDArray
from zlib_ng import zlib_ng

from request_log.requests import Integers
from rollups.counts import NO_COUNTS, DailyAggregate, DayCounts
from rollups.group_by import counts_of, sums_of

_TYPES = {"H": "<u2", "I": "<u4", "Q": "<u8"}
# The letters of compressed numbers by those of their sizes: since byte planes are compressed, and before.
_PLANES = {"x": "H", "y": "I", "z": "Q"}
_WITHOUT_PLANES = {"h": "H", "i": "I", "q": "Q"}
_LETTERS = {size: letter for letter, size in _PLANES.items()}
# Counters of more values than this are compressed.
_WIDE = 512
# The same for values of 8 bytes, most of which are zeros.
_WIDE_OF_LARGEST = 128
# The largest number in 2 bytes. A value more, which nobody counted, has to shorten the text of so many others.
_MOST_IN_2_BYTES = (1 << 16) - 1
_COUNTED_A_FILLER = 8
# Up to this many values, Python's struct is faster than numpy.
_FEW = 64
# More values than this are faster counted by themselves first.
_MANY = 1_000
# Up to this many characters of text, two counters are faster added value by value, and binascii is the fastest decoder.
_FEW_CHARACTERS = 400
_LARGEST = 1 << 62
"""Larger numbers are none that were counted, and their sums would overflow."""
_ERRORS = (ValueError, LookupError, struct.error, cast("type[Exception]", zlib_ng.error))


class UnreadableText(ValueError):
    """A part of a stored row that is no counter, or no names: the row was damaged."""

    def __init__(self, text: str) -> None:
        super().__init__(f"cannot be read: {text[:60]!r}")
        self.text = text


def encode_counter(counter: Mapping[int, int]) -> str:
    """The text of a counter: value -> count, both from 0.

    It is the values in ascending order, then their counts, as unsigned little-endian integers of the least size that
    holds them all, in base64. A letter before it says the size: `H` 2 bytes, `I` 4, `Q` 8. Decimal numbers would take
    30 times as long to read, and an answer reads a month of rows.

    Of many values, the text has the differences between them, compressed with zlib, after the letter `x`, `y` or `z`.
    That is a fifth of the bytes, and a field of InfluxDB has a limit. First come the lowest bytes of all numbers, then
    the next ones, most of which are zeros: so they are a third smaller than number by number, as after the letters `h`,
    `i` and `q` of older texts. A few differences that need more than 2 bytes are divided by values with a count of 0,
    which nobody counted: else all differences and counts would take 4 bytes.
    """
    values = sorted(counter)
    numbers = [*values, *map(counter.__getitem__, values)]
    if len(values) > _FEW:
        return encode_arrays(*np.array(numbers, np.int64).reshape(2, -1))
    size = _size(max(numbers, default=0))
    return size + b2a_base64(struct.pack(f"<{len(numbers)}{size}", *numbers), newline=False).decode()


def _size(largest: int) -> str:
    """The letter of the least size that holds a number."""
    return "H" if largest < 1 << 16 else "I" if largest < 1 << 32 else "Q"


def encode_arrays(values: Integers, counts: Integers) -> str:
    """`encode_counter` of arrays: values in ascending order, and their counts."""
    numbers = np.concatenate((values, counts))
    size = _size(int(numbers.max(initial=0)))
    is_wide = len(values) > (_WIDE_OF_LARGEST if size == "Q" else _WIDE)
    if is_wide:
        numbers[1 : len(values)] -= values[:-1]
        numbers = _with_small_differences(numbers)
        size = _size(int(numbers.max()))
    of_size = numbers.astype(_TYPES[size])
    if not is_wide:
        return size + b2a_base64(of_size.tobytes(), newline=False).decode()
    planes = of_size.view(np.uint8).reshape(-1, of_size.itemsize).T.tobytes()
    # Of other strategies, those as small take longer. zlib itself takes half as long again.
    compressor = zlib_ng.compressobj(1, strategy=zlib_ng.Z_RLE)
    data = compressor.compress(planes) + compressor.flush()
    return _LETTERS[size] + b2a_base64(data, newline=False).decode()


def _with_small_differences(numbers: Integers) -> Integers:
    """Differences between values, then counts, with values of the count 0 where that saves bytes, see
    `encode_counter`. Changes `numbers`."""
    differences, counts = numbers.reshape(2, -1)
    places = np.flatnonzero(differences > _MOST_IN_2_BYTES)
    more = (differences[places] - 1) // _MOST_IN_2_BYTES
    if not len(places) or more.sum() > len(counts) // _COUNTED_A_FILLER or counts.max() > _MOST_IN_2_BYTES:
        return numbers
    numbers[places] -= more * _MOST_IN_2_BYTES
    fillers = places.repeat(more)
    return np.insert(
        numbers, np.concatenate((fillers, fillers + len(counts))), np.repeat([_MOST_IN_2_BYTES, 0], len(fillers))
    )


def encode_counters(values: Integers, counts: Integers, bounds: Integers) -> list[str]:
    """`encode_counter` of many counters that follow one another in these arrays. `bounds`: where each begins, and where
    the last one ends."""
    starts, lengths = bounds[:-1], np.diff(bounds)
    # Of an empty counter this is the largest of the next one, which does no harm.
    largest = np.maximum.reduceat(np.append(np.maximum(values, counts), 0), starts)
    is_small = (largest < 1 << 16) & (lengths <= _WIDE)
    # All counters as if they were small: the values of each, then its counts.
    numbers = np.empty(2 * len(values), _TYPES["H"])
    places = np.arange(len(values)) + np.repeat(starts, lengths)
    numbers[places] = values
    numbers[places + np.repeat(lengths, lengths)] = counts
    data = memoryview(numbers.tobytes())
    return [
        "H" + b2a_base64(data[4 * start : 4 * end], newline=False).decode()
        if small
        else encode_arrays(values[start:end], counts[start:end])
        for start, end, small in zip(starts.tolist(), bounds[1:].tolist(), is_small.tolist(), strict=True)
    ]


def decode_counter(text: str) -> Counter[int]:
    """The reverse of `encode_counter`."""
    values, counts = counter_arrays(text)
    return Counter(dict(zip(values.tolist(), counts.tolist(), strict=True)))


def counter_arrays(text: str) -> tuple[Integers, Integers]:
    """The values of a counter, ascending, and their counts."""
    values, counts = _stored_numbers(text).astype(np.int64).reshape(2, -1)
    if text[0] not in _TYPES:
        np.cumsum(values, out=values)
    is_counted = counts != 0
    return (values, counts) if is_counted.all() else (values[is_counted], counts[is_counted])


def counters_arrays(texts: Sequence[str]) -> tuple[Integers, Integers, Integers]:
    """`counter_arrays` of several counters, one after the other, and the number of values of each."""
    values, counts, sizes = stored_arrays(texts)
    is_counted = counts != 0
    if not is_counted.all():
        through, ends = np.append(0, is_counted.cumsum()), sizes.cumsum()
        sizes = through[ends] - through[ends - sizes]
        values, counts = values[is_counted], counts[is_counted]
    return values, counts, sizes


def stored_arrays(texts: Sequence[str]) -> tuple[Integers, Integers, Integers]:
    """`counters_arrays` in less time, also of the values that nobody counted and that the texts have, see
    `encode_counter`."""
    numbers = [_stored_numbers(text) for text in texts]
    sizes = np.array([len(of_one) // 2 for of_one in numbers], np.int64)
    values, counts = np.empty((2, sizes.sum()), np.int64)
    end = 0
    for text, of_one, size in zip(texts, numbers, sizes.tolist(), strict=True):
        start, end = end, end + size
        counts[start:end] = of_one[size:]
        if text[0] in _TYPES:
            values[start:end] = of_one[:size]
        else:
            np.cumsum(of_one[:size], out=values[start:end])
    return values, counts, sizes


def _stored_numbers(text: str) -> NDArray[np.unsignedinteger]:
    try:
        letter, data = text[0], _decoded(text[1:])
        if letter in _PLANES:
            numbers = _of_planes(zlib_ng.decompress(data), np.dtype(_TYPES[_PLANES[letter]]))
        elif letter in _WITHOUT_PLANES:
            numbers = np.frombuffer(zlib_ng.decompress(data), _TYPES[_WITHOUT_PLANES[letter]])
        else:
            numbers = np.frombuffer(data, _TYPES[letter])
    except _ERRORS as error:
        raise UnreadableText(text) from error
    if len(numbers) % 2 or (numbers.itemsize == 8 and int(numbers.max(initial=0)) > _LARGEST):
        raise UnreadableText(text)
    return numbers


def _of_planes(data: bytes, kind: "np.dtype[np.unsignedinteger]") -> NDArray[np.unsignedinteger]:
    """Numbers from the lowest bytes of all, then the next ones, and so on. Raises ValueError."""
    planes = np.frombuffer(data, np.uint8).reshape(kind.itemsize, -1)
    numbers: NDArray[np.unsignedinteger] = planes[0].astype(kind)
    for place, plane in enumerate(planes[1:], 1):
        if plane.any():
            numbers |= plane.astype(kind) << (8 * place)
    return numbers


def _decoded(text: str) -> bytes:
    """The bytes of base64. Raises ValueError."""
    return a2b_base64(text) if len(text) <= _FEW_CHARACTERS else msgspec.convert(text, bytes)


def add_to_counter(text: str, more: str) -> str:
    """The text of the sum of two counters."""
    if text == NO_COUNTS:
        return more
    if more == NO_COUNTS:
        return text
    if max(len(text), len(more)) > _FEW_CHARACTERS or not (text[:1] in _TYPES and more[:1] in _TYPES):
        return _added(*counter_arrays(text), *counter_arrays(more))
    values, counts = _numbers(text)
    counter = dict(zip(values, counts, strict=True))
    for value, count in zip(*_numbers(more), strict=True):
        counter[value] = counter.get(value, 0) + count
    return encode_counter(counter)


def take_from_counter(text: str, less: str) -> str:
    """The text of a counter minus another one. Raises ValueError where it has not all counts of the other one."""
    if less == NO_COUNTS:
        return text
    values, counts = counter_arrays(text)
    taken, amounts = counter_arrays(less)
    places = np.searchsorted(values, taken)
    counts = counts.copy()
    if (
        len(values) == 0
        or (values[np.minimum(places, len(values) - 1)] != taken).any()
        or (counts[places] < amounts).any()
    ):
        raise ValueError(f"a counter of {counts.sum():,} has not all of {amounts.sum():,}")
    counts[places] -= amounts
    return encode_arrays(values[counts > 0], counts[counts > 0])


def _numbers(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """`counter_arrays` of a counter that is not compressed, as tuples."""
    try:
        size, data = text[0], _decoded(text[1:])
        numbers = struct.unpack(f"<{len(data) // struct.calcsize(size)}{size}", data)
    except _ERRORS as error:
        raise UnreadableText(text) from error
    if len(numbers) % 2 or max(numbers, default=0) > _LARGEST:
        raise UnreadableText(text)
    half = len(numbers) // 2
    return numbers[:half], numbers[half:]


def count_in(text: str, values: Integers) -> str:
    """The text of a counter after these values were counted. They are in any order and may repeat."""
    if len(values) > _MANY:
        return _added(*counter_arrays(text), *counts_of(values))
    return _added(*counter_arrays(text), values, np.ones_like(values))


def _added(values: Integers, counts: Integers, more_values: Integers, more_counts: Integers) -> str:
    return encode_arrays(*sums_of(np.concatenate((values, more_values)), np.concatenate((counts, more_counts))))


def pack(counts: DayCounts, commit: int = 0) -> DailyAggregate:
    return DailyAggregate(encode_counter(counts.statuses), encode_counter(counts.latencies), commit)


def unpack(packed: DailyAggregate) -> DayCounts:
    """The reverse of `pack`."""
    return DayCounts(decode_counter(packed.statuses), decode_counter(packed.latencies))
