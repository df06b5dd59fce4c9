"""docs/settings.md and the comments of .env.local, from the settings classes: their types, bounds and docstrings.

`make docs` writes both anew. The order and the sections are those of .env.local, and so are the comments of variables
that only docker-compose.yml and the scripts read.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import AfterValidator
from pydantic.fields import FieldInfo

from api.settings import ApiSettings
from log_generator.settings import GeneratorSettings
from log_processor.settings import ProcessorSettings
from log_shipper.settings import ShipperSettings
from service import settings as kinds
from service.settings import PROJECT_ROOT, Settings
from storage.settings import SetupSettings

SERVICES: dict[str, type[Settings]] = {
    "log_generator": GeneratorSettings,
    "log_processor": ProcessorSettings,
    "log_shipper": ShipperSettings,
    "api": ApiSettings,
    "setup": SetupSettings,
}
ENVIRONMENT = PROJECT_ROOT / ".env.local"
PAGE = PROJECT_ROOT / "docs/settings.md"
WIDTH = 120
HEAD = """# Settings
<!-- Written by tests/settings_page.py from the settings classes: change them there. -->
Every setting is an environment variable. `.env.local` has all of them with their defaults. A variable in the shell
wins, in both modes. Relative paths are relative to the project. A bad value ends the program at its start with exit
status 78, and with the variable's name, its value and what is allowed.

In containers, `start.sh` and `docker-compose.yml` set what differs there: `STORAGE`, `INFLUXDB_URL`,
`INFLUXDB_TOKEN_FILE`, `TOKENS_PATH`, `DEAD_LETTERS_PATH`, `BACKFILL_FOLDER`, `HEARTBEAT_PATH`, `METRICS_HOST`,
`METRICS_PORT` (9464, for the other containers), `API_HOST` (the address on which `start.sh` publishes the api) and
`AUTH` (`none`, where that is a loopback address).

"Read by" names the services; `compose` is `docker-compose.yml` and the scripts.
"""
_PATHS = {
    _validator.func: meaning
    for alias, meaning in (
        (kinds.LogPath, "a file in a folder that is there"),
        (kinds.OutputPath, "a file that can be written"),
        (kinds.OutputFolder, "a folder that can be written"),
    )
    for _validator in get_args(alias)[-1:]
}


@dataclass(frozen=True)
class Variable:
    """A row of the page."""

    name: str
    default: str
    allowed: str
    read_by: str
    meaning: str
    """In Markdown."""


def sections() -> dict[str, list[Variable]]:
    """The variables by the sections of .env.local."""
    found: dict[str, list[Variable]] = {}
    comment: list[str] = []
    for line in ENVIRONMENT.read_text().splitlines():
        if heading := re.fullmatch(r"# --- (.*) ---", line):
            found[heading[1]] = []
        elif line.startswith("# "):
            comment.append(line[2:])
            continue
        elif assignment := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            *_, section = found.values()
            section.append(_variable(assignment[1], assignment[2], " ".join(comment)))
        comment = []
    return found


def page() -> str:
    """The text of docs/settings.md."""
    parts = [HEAD]
    for section, variables in sections().items():
        parts.append(f"## {section}\n| variable | default | allowed | read by | meaning |\n|---|---|---|---|---|\n")
        for one in variables:
            default = f"`{one.default}`" if one.default else ""
            cells = (f"`{one.name}`", default, one.allowed, one.read_by, one.meaning)
            parts.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n")
        parts.append("\n")
    return "".join(parts).replace(HEAD, f"{HEAD}\n").rstrip("\n") + "\n"


def environment() -> str:
    """The text of .env.local: its own lines, with the comments that the settings classes have."""
    text = ENVIRONMENT.read_text()
    head, _, _ = text.partition("\n# --- ")
    parts = [head.rstrip("\n")]
    for section, variables in sections().items():
        parts.append(f"\n# --- {section} ---")
        for one in variables:
            parts += textwrap.wrap(
                one.meaning, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False
            )
            parts.append(f"{one.name}={one.default}")
    return "\n".join(parts) + "\n"


def _variable(name: str, default: str, comment: str) -> Variable:
    readers = [service for service, settings in SERVICES.items() if name.lower() in settings.model_fields]
    if not readers:
        return Variable(name, default, "", "compose", comment)
    settings = SERVICES[readers[0]]
    field = settings.model_fields[name.lower()]
    meaning = next(filter(None, (_docstrings(base).get(name.lower()) for base in settings.__mro__)), "")
    return Variable(name, default, _allowed(field), ", ".join(readers), meaning)


def _docstrings(of: type) -> dict[str, str]:
    """The docstrings of a class's fields, each on one line."""
    if not issubclass(of, Settings):
        return {}
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(of))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for field, text in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            found[field.target.id] = " ".join(str(ast.literal_eval(text.value)).split())
    return found


def _allowed(field: FieldInfo) -> str:
    """What a field may be, by its type and its bounds."""
    if choices := list(_choices(field.annotation)):
        return ", ".join(f"`{choice}`" for choice in choices if choice)
    for one in field.metadata:
        if isinstance(one, AfterValidator) and one.func in _PATHS:
            return _PATHS[one.func]
    if field.annotation in (int, float):
        return _between(field)
    if int in get_args(field.annotation):
        return "a whole number"
    if "Path" in str(field.annotation):
        return "a path"
    patterns = [one.pattern for one in field.metadata if getattr(one, "pattern", None)]
    if patterns:
        return f"text that matches `{patterns[0]}`"
    return "text, not empty" if any(isinstance(one, MinLen) for one in field.metadata) else "text"


def _choices(annotation: Any) -> Iterator[str]:
    if get_origin(annotation) is Literal:
        yield from get_args(annotation)
    elif get_origin(annotation) in (Union, UnionType, Annotated):
        for one in get_args(annotation):
            yield from _choices(one)


def _between(field: FieldInfo) -> str:
    least = next((_number(one.ge) for one in field.metadata if isinstance(one, Ge)), "")
    above = next((f"above {_number(one.gt)}" for one in field.metadata if isinstance(one, Gt)), "")
    most = next((_number(one.le) for one in field.metadata if isinstance(one, Le)), "")
    if most:
        return f"{above}, to {most}" if above else f"{least} to {most}"
    return above or f"from {least}"


def _number(bound: Any) -> str:
    """As it is written in a variable."""
    return str(int(bound) if bound == int(bound) else bound)


if __name__ == "__main__":
    ENVIRONMENT.write_text(environment())
    PAGE.write_text(page())
