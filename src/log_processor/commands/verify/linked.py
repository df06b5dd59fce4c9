"""Links the rows of files in the store to present files.

A row tells where to look for its file. The bytes of a file tell whether it is the one.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

from log_processor.commands.ranges import Ranges
from log_processor.commands.verify.present import Present
from log_processor.commands.verify.text_file import FilesChanged, TextFile
from log_processor.following.identity import Identity
from log_processor.following.roots import Roots
from storage.keys import FileKey
from storage.logs import FileRow, LedgerRow


class Linked:
    def __init__(
        self,
        logs: Iterable[LedgerRow],
        rows: Mapping[FileKey, FileRow],
        has_request: Callable[[Iterable[bytes]], bool],
        stack: ExitStack,
        roots: Roots | None,
    ) -> None:
        """`has_request`: whether the blocks of a part of a log have a request. Two files may have the same header; only
        requests tell them apart. `roots`: where files may be read; None: anywhere."""
        self.present = Present(logs, rows.values(), stack, roots)
        self._has_request = has_request
        self._of_rows: dict[FileKey, TextFile | None] = {}
        self._wholes: dict[TextFile, TextFile] = {}
        self.look(logs, rows)

    def look(self, logs: Iterable[LedgerRow], rows: Mapping[FileKey, FileRow]) -> None:
        """Link the rows that are new."""
        new = {key: row for key, row in rows.items() if row.offset and key not in self._of_rows}
        if self._of_rows and new:
            self.present.look(list(logs), list(rows.values()))
            self._wholes.clear()
        # The inode goes first, because two files may have the same bytes.
        self._of_rows.update({key: self._by_inode(row) for key, row in new.items()})
        known: dict[TextFile, Ranges] = {}
        for key, row in rows.items():
            if (file := self._of_rows.get(key)) is not None:
                known.setdefault(file, Ranges()).add(row.start, row.offset)
        for key, row in new.items():
            if self._of_rows[key] is None:
                self._of_rows[key] = self._by_content(row, known)

    def file(self, key: FileKey) -> TextFile | None:
        """The present file that begins with the bytes that were read of a row's file; None if none does."""
        return self._of_rows.get(key)

    def whole(self, file: TextFile) -> TextFile:
        """The longest file that begins with all bytes of this one: the file itself if it is no copy."""
        if file not in self._wholes:
            self._wholes[file] = self._find_whole(file)
        return self._wholes[file]

    def check(self, rows: Mapping[FileKey, FileRow]) -> None:
        """Raise FilesChanged if a file no longer has the bytes that were read of it: it was changed in place."""
        for key, row in rows.items():
            file = self.file(key)
            if file is not None and not file.is_compressed and not _agrees(file, row):
                raise FilesChanged(f"{file.path} was changed while it was read.")

    def _by_inode(self, row: FileRow) -> TextFile | None:
        inode = Identity.decode(row.identity).inode
        files = self.present.files.values()
        return next((file for file in files if file.inode[1] == inode and _agrees(file, row)), None)

    def _by_content(self, row: FileRow, known: Mapping[TextFile, Ranges]) -> TextFile | None:
        for file in sorted(self.present.files.values(), key=lambda one: (str(one.path) != row.path, str(one.path))):
            # A file at the path of a log that is read from its beginning is new: rotation has made room for it.
            read = known.get(file, Ranges())
            is_new = file.inode in self.present.at_paths and not read.is_apart(row.start, row.offset)
            if (
                not is_new
                and row.offset <= file.size
                and Identity.decode(row.identity).agrees_whole(row.start, row.offset, file.read)
                and self._has_request(file.blocks(0, row.offset))
            ):
                return file
        return None

    def _find_whole(self, file: TextFile) -> TextFile:
        logs = self.present.logs
        # Of equal files, the one with the shortest name is the original: it is at the path of the log.
        for other in sorted(self.present.files.values(), key=lambda one: (-one.size, len(str(one.path)), one.inode)):
            if other is file:
                break
            # A backfilled file may belong to any log.
            are_alike = not logs[file] or not logs[other] or logs[file] & logs[other]
            # A file at the path of a log is new: rotation has made room for it.
            is_new = file.inode in self.present.at_paths and logs[other]
            if are_alike and not is_new and other.begins_with(file, file.size):
                return other if self._has_request(file.blocks(0, file.size)) else file
        return file


def _agrees(file: TextFile, row: FileRow) -> bool:
    """Whether a file has the bytes that were read of a row's file, as far as samples tell."""
    return row.offset <= file.size and Identity.decode(row.identity).agrees(row.offset, file.read)
