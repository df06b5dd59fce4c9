"""Limits which files may be read. Without limits, a link in a log's folder could point to any file of the machine."""

import os
from collections.abc import Container, Iterable
from pathlib import Path


class Roots:
    """Allowed folders, and paths that the settings name.

    A file may be read if it lies below one of the folders, links followed, or if its path is named.
    """

    def __init__(self, folders: Iterable[Path], named: Container[Path] = ()) -> None:
        self._prefixes = tuple({_prefix(os.path.realpath(folder)) for folder in folders})
        self._named = named

    def have(self, real_path: str) -> bool:
        """Whether a path without links lies below one of the folders."""
        return real_path.startswith(self._prefixes)

    def have_folder(self, real_path: str) -> bool:
        """Whether a folder's path without links is that of one of the folders, or lies below one."""
        return self.have(_prefix(real_path))

    def are_named(self, path: Path) -> bool:
        """Whether the path is named. Then its links may lead anywhere."""
        return path in self._named

    def have_file_at(self, path: Path) -> bool:
        return self.are_named(path) or self.have(os.path.realpath(path))

    def extended(self, folders: Iterable[Path]) -> "Roots":
        """These roots and more folders.

        A folder that lies below these roots by its spelling is not added. Either it is allowed already, or a link leads
        outside.
        """
        more = Roots((folder for folder in folders if not self.have_folder(os.path.normpath(folder))), self._named)
        more._prefixes += self._prefixes
        return more


def without_links(path: Path) -> Path:
    """The path with all links followed, as far as they lead anywhere.

    Path.resolve raises RuntimeError where a link leads to itself, as whoever may write into the folder can have it.
    """
    return Path(os.path.realpath(path))


def is_link(path: Path) -> bool:
    """Whether a path is a link; False where that cannot be told.

    Path.is_symlink raises PermissionError where its folder cannot be entered, as somebody may close it at any time.
    """
    return os.path.islink(path)  # noqa: PTH114


def _prefix(folder: str) -> str:
    return folder if folder.endswith(os.sep) else folder + os.sep
