"""Which logs are followed, and what each is called in the store."""

import glob
from collections.abc import Sequence
from pathlib import Path

from log_processor.rotation import is_rotated_name
from service.settings import PROJECT_ROOT


class LogFiles:
    """The logs that `patterns` name: paths, whether there is a file or not, and globs (`*`, `?`, `[...]`, `**`)."""

    def __init__(self, patterns: Sequence[Path], named: dict[Path, str]) -> None:
        """`named`: what logs are called that have a name of their own; the others are called by their path."""
        self._patterns = patterns
        self._named = named

    def found(self) -> dict[str, Path]:
        """Name -> path of each log that is there now, or that is named by its path."""
        paths: set[Path] = set()
        for pattern in self._patterns:
            if glob.has_magic(str(pattern)):
                paths.update(path for path in map(Path, _matches(pattern)) if path.is_file())
            else:
                paths.add(pattern)
        # A rotated file is a part of its log, not a log.
        logs = [path for path in sorted(paths) if not is_rotated_name(path)]
        return {self._named.get(path) or _name(path): path for path in logs}

    def is_from_glob(self, path: Path) -> bool:
        """Whether a log is followed because a glob found it."""
        return path not in self._patterns


def _matches(pattern: Path) -> list[str]:
    return glob.glob(str(pattern), recursive=True)  # noqa: PTH207 (Path.glob takes no absolute pattern)


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path)
