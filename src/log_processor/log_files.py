"""Which logs are followed, and what each is called in the store."""

import errno
import glob
import os
import stat
from collections.abc import Sequence, Set
from pathlib import Path

from log_processor.rotation import is_rotated_name
from service.logs import logger
from service.settings import PROJECT_ROOT

COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip")

log = logger(__name__)


class LogFiles:
    """The logs that `patterns` name: paths, whether there is a file or not, and globs (`*`, `?`, `[...]`, `**`)."""

    def __init__(self, patterns: Sequence[Path], named: dict[Path, str], outputs: Sequence[Path] = ()) -> None:
        """`named`: what logs are called that have a name of their own; the others are called by their path.
        `outputs`: what the processor writes. A glob does not find that as a log, nor what is called so and more."""
        self._named = named
        self._outputs = tuple(map(str, outputs))
        self._paths = {path for path in patterns if path in named or not glob.has_magic(str(path))}
        self._globs = [str(path) for path in patterns if path not in self._paths]
        self._passed_over: set[Path] = set()

    def found(self, known: Set[str] = frozenset()) -> dict[str, Path]:
        """Name -> path of each log that is there now, or that is named by its path; without those at `known` paths."""
        matches = (path for pattern in self._globs for path in self._matches(pattern, known))
        paths = {*(path for path in self._paths if str(path) not in known), *matches}
        return {self._named.get(path) or _name(path): path for path in sorted(paths) if self._can_be_read(path)}

    def latest_modification(self) -> float:
        """When the log that was written to last was (Unix time, s), by its file's time; 0 where there is no file."""
        return max((path.stat().st_mtime for path in self.found().values() if path.exists()), default=0.0)

    def is_from_glob(self, path: Path) -> bool:
        """Whether a log is followed because a glob found it."""
        return path not in self._paths

    def _matches(self, pattern: str, known: Set[str]) -> list[Path]:
        """The logs that a glob finds: a rotated file is a part of its log, not a log."""
        # Path.glob takes no absolute pattern, and Path.is_file raises where a folder cannot be entered.
        names = [name for name in glob.glob(pattern, recursive=True) if name not in known]  # noqa: PTH207
        texts = [name for name in names if not name.endswith(COMPRESSED) and not name.startswith(self._outputs)]
        return [Path(name) for name in texts if not is_rotated_name(name) and os.path.isfile(name)]  # noqa: PTH113

    def _can_be_read(self, path: Path) -> bool:
        """Whether a log can be followed; where not, that is said once, and it is looked at again each time."""
        reason = _fault(path)
        if reason and path not in self._passed_over:
            self._passed_over.add(path)
            log.warning("log_not_followed", path=os.fsencode(path).decode(errors="backslashreplace"), reason=reason)
        elif not reason:
            self._passed_over.discard(path)
        return not reason


def _fault(path: Path) -> str | None:
    """Why a log cannot be followed."""
    try:
        str(path).encode()
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return error.strerror
    if not stat.S_ISREG(mode):
        return "not a regular file"
    return None if os.access(path, os.R_OK) else os.strerror(errno.EACCES)


def _name(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT) if path.is_relative_to(PROJECT_ROOT) else path)
