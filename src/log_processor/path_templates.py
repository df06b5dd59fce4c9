"""The file of own templates of paths."""

from pathlib import Path

from request_log.path_template import template_fault
from service.settings import read_whole

MOST_TEMPLATES = 500
"""Own templates. The rows of roll-ups of each day may name all of them."""


def read_templates(path: Path) -> tuple[str, ...]:
    """The templates of a file: a line each, without empty lines and lines that begin with `#`.

    ValueError where the file cannot be read, or a line is no template, or never matches.
    """
    try:
        lines = read_whole(path).splitlines()
    except ValueError as error:
        raise ValueError(f"{path} {error}") from None
    found: dict[tuple[str, ...], tuple[int, str]] = {}
    for number, line in enumerate(map(str.strip, lines), 1):
        if not line or line.startswith("#"):
            continue
        if fault := template_fault(line):
            raise ValueError(f"{path}, line {number}: {line} {fault}")
        shape = tuple("{}" if segment.startswith("{") else segment for segment in line.split("/"))
        if shape in found:
            raise ValueError(f"{path}, line {number}: {line} matches the same paths as line {found[shape][0]}")
        found[shape] = number, line
    if len(found) > MOST_TEMPLATES:
        raise ValueError(f"{path} has {len(found):,} templates, and {MOST_TEMPLATES} are allowed")
    return tuple(template for _, template in found.values())
