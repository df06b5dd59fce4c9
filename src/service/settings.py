"""Settings come from environment variables and are checked at the start; a bad one ends the program."""

import sys
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT_ROOT = Path(__file__).resolve().parents[2]
EXIT_CONFIG = 78
"""Exit status of a program whose settings are wrong (EX_CONFIG of sysexits.h)."""

ProjectPath = Annotated[Path, AfterValidator(lambda path: PROJECT_ROOT / path)]
"""A path; a relative one is relative to the project."""


class Settings(BaseSettings):
    """Base of each service's settings: the field `log_file_path` is the variable `LOG_FILE_PATH`."""

    model_config = SettingsConfigDict(env_ignore_empty=True, frozen=True, extra="ignore")


AnySettings = TypeVar("AnySettings", bound=Settings)


def load(settings_class: type[AnySettings]) -> AnySettings:
    """The settings from the environment. A bad one ends the program with status 78: its name, value and what is
    allowed, one line each."""
    try:
        return settings_class()
    except ValidationError as error:
        for fault in error.errors():
            name = str(fault["loc"][0]).upper() if fault["loc"] else ""
            value = "" if fault["type"] == "missing" or not name else f"={fault['input']!s}"
            print(f"{name}{value}: {fault['msg'].removeprefix('Value error, ')}", file=sys.stderr)  # noqa: T201
        sys.exit(EXIT_CONFIG)
