"""Columns of numbers that came in parts."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Column = NDArray[Any]
Part = TypeVar("Part", bound=Sequence[Column])


def join(parts: list[Part]) -> list[Column]:
    """The columns of all parts, which are let go: a column at a time, so that they are not in memory twice."""
    columns: list[Any] = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    for place, pieces in enumerate(columns):
        columns[place] = np.concatenate(pieces)
        pieces.clear()
    return columns
