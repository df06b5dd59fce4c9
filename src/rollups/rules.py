"""The rules of roll-ups: in which endpoints a request is counted."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from request_log.path_template import PathTemplates

DEFAULT_PATHS = 100
"""Paths of a customer and a day that are told apart by default."""


class Rules(NamedTuple):
    counts_methods: bool = True
    """Whether methods and sizes of responses are counted."""
    paths: int = DEFAULT_PATHS
    """Paths of a customer and a day that are told apart, beside `templates`."""
    templates: tuple[str, ...] = ()
    """Own templates. The first that matches a path is its template, and always told apart."""

    @property
    def template_of(self) -> Callable[[str], str]:
        """A function from a path to its template, which remembers the latest paths."""
        return _template_of(self.templates)


DEFAULT = Rules()
UNNAMED = Rules(counts_methods=False)
"""The rules of programs that stored none."""


@lru_cache(8)
def _template_of(templates: tuple[str, ...]) -> Callable[[str], str]:
    return PathTemplates(templates).__getitem__
