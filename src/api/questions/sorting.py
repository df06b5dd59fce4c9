"""What a list may be sorted by: a figure, in either order."""

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

FigureSort = Literal[
    "total", "failed", "client_errors", "server_errors", "uptime", "availability", "average", "median", "p99"
]
Order = Literal["asc", "desc"]

FIGURE_OF: dict[FigureSort, str] = {
    "total": "total_requests",
    "failed": "failed_requests",
    "client_errors": "client_errors",
    "server_errors": "server_errors",
    "uptime": "uptime",
    "availability": "availability",
    "average": "average_latency",
    "median": "median_latency",
    "p99": "p99_latency",
}
"""The field of rollups.figures.Figures that a list is sorted by."""

Key = TypeVar("Key", bound=Any)

FIGURES_TO_SORT_BY = ", ".join(f"`{sort}`" for sort in FIGURE_OF)
"""For the description of a parameter `sort`."""


def in_order(values: Mapping[Key, float | None], order: Order) -> list[Key]:
    """The keys in the order of their values. Equal ones are in their own order; those without a value come last."""
    sign = -1 if order == "desc" else 1
    return sorted(values, key=lambda key: (values[key] is None, sign * (values[key] or 0), key))
