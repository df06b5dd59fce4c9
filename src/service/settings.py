"""Settings from environment variables, checked at the start: an invalid one ends the program."""

import os
import stat
import sys
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

from pydantic import AfterValidator, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.printable import printable

PROJECT_ROOT = Path(__file__).resolve().parents[2]
EXIT_CONFIG = 78
"""Exit status of a program with invalid settings (EX_CONFIG of sysexits.h)."""
_MOST_BYTES = 1 << 20
"""Bytes of a file that a setting names and that is read as a whole."""


def is_utf_8(text: str) -> bool:
    """Whether a text of the environment or of the command line was UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def read_whole(path: Path) -> str:
    """The text of a file that a setting names. ValueError, with the reason, where it cannot be read."""
    try:
        # Without O_NONBLOCK a pipe would wait for a writer.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("cannot be read: not a regular file")
            content = file.read(_MOST_BYTES + 1)
        if len(content) > _MOST_BYTES:
            raise ValueError(f"cannot be read: it has more than {_MOST_BYTES:,} bytes")
        return content.decode()
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("cannot be read: it is not UTF-8") from None


def comma_separated(text: str) -> list[str]:
    """The items of a setting that is a list, without empty ones."""
    return [part.strip() for part in text.split(",") if part.strip()]


def can_be_a_log(path: Path) -> Path:
    """The path of a log. Raises ValueError where there is no regular file and none can be made."""
    # The methods of Path raise where a folder cannot be entered.
    if not os.path.isdir(path.parent):  # noqa: PTH112
        raise ValueError(f"there is no folder {path.parent}")
    if os.path.exists(path) and not os.path.isfile(path):  # noqa: PTH110, PTH113
        raise ValueError("not a regular file")
    return path


def _can_be_filled(folder: Path) -> Path:
    if os.path.isfile(folder):  # noqa: PTH113
        raise ValueError("not a folder")
    _can_be_written(folder / "file")
    return folder


def _can_be_written(path: Path) -> Path:
    there = next(name for name in (path, *path.parents) if os.path.exists(name))  # noqa: PTH110
    if there != path and not there.is_dir():
        raise ValueError(f"{there} is not a folder")
    if there == path and not there.is_file():
        raise ValueError("not a regular file")
    if not os.access(there, os.W_OK):
        raise ValueError(f"{there} cannot be written")
    return path


ProjectPath = Annotated[Path, AfterValidator(lambda path: PROJECT_ROOT / path)]
"""A path. A relative path is relative to the folder of the project."""
LogPath = Annotated[ProjectPath, AfterValidator(can_be_a_log)]
"""The path of a log. Its folder has to exist, the log need not."""
OutputPath = Annotated[ProjectPath, AfterValidator(_can_be_written)]
"""The path of a file that can be written, or made with its folders."""
OutputFolder = Annotated[ProjectPath, AfterValidator(_can_be_filled)]
"""The path of a folder that can be written into, or made."""


class Settings(BaseSettings):
    """Base of the settings of each service. The field `log_file_path` is the variable `LOG_FILE_PATH`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(settings_class: type[AnySettings]) -> AnySettings:
    """The settings from the environment.

    An invalid setting ends the program with status 78. Standard error has a line for each, with its name, its value and
    what is allowed.
    """
    try:
        return settings_class()
    except UnicodeEncodeError:
        # Pydantic cannot say which one it is.
        given = {name: os.environ.get(name.upper(), "") for name in settings_class.model_fields}
        bad = {name: value for name, value in given.items() if not is_utf_8(value)}
        refuse(*(f"{_shown(settings_class, name, value)}: not UTF-8" for name, value in bad.items()))
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            told = fault["msg"].removeprefix("Value error, ")
            if fault["loc"]:
                value = None if fault["type"] == "missing" else fault["input"]
                told = f"{_shown(settings_class, str(fault['loc'][0]), value)}: {told}"
            faults.append(told)
        refuse(*faults)


def _shown(settings_class: type[Settings], name: str, value: object) -> str:
    """A variable with its value, if it has one that may be shown. What is said here often ends in a log."""
    is_secret = bool(value) and not settings_class.model_fields[name].repr
    return name.upper() if value is None or is_secret else f"{name.upper()}={value}"


def refuse(*faults: str) -> NoReturn:
    """End the program with status 78. Standard error has a line for each fault, which names the setting."""
    for fault in faults:
        print(printable(fault), file=sys.stderr)  # noqa: T201
    sys.exit(EXIT_CONFIG)
