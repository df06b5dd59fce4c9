"""A handed-in log: one that `backfill` has put into the spool."""

import os
from collections.abc import Iterable
from pathlib import Path

from log_processor.following.family import Family
from log_processor.following.file import File
from log_processor.following.log_files import Folders, FoundLog
from log_processor.following.owners import Owners
from log_processor.following.present import Decompressor
from log_processor.spool import SpooledLog
from request_log.framing.protocol import PLAIN, Framing
from storage.logs import FileRow, LedgerRow


class HandedIn(Family):
    def __init__(
        self,
        waiting: SpooledLog,
        row: LedgerRow | None,
        files: Iterable[FileRow],
        decompressor: Decompressor,
        may_be_behind: bool,
        framing: Framing = PLAIN,
    ) -> None:
        """`waiting`: the log in the spool. `row`, `files`: the log's rows in the store. `decompressor`: see `Family`.
        `may_be_behind`: whether speed counts more than freshness. `framing`: how lines lie in the file."""
        found = FoundLog(waiting.name, Path(waiting.origin), True, False)
        super().__init__(found, row, files, Owners(), decompressor, framing=framing)
        self.may_be_behind = may_be_behind
        self._text = waiting.path
        self._context = waiting.context

    def has_changed(self) -> bool:
        return False

    def look(self, folders: Folders) -> None:
        """Open the file, if it is not read to its end."""
        self.is_dirty = False
        if not self.files:
            found = self._text.stat()
            row = FileRow(self.name, 0, size=found.st_size, path=str(self.path), context=self._context)
            self.files[0] = File(self, row)
            self.news[self.files[0]] = None
        file = self.files[0]
        if file.reader is None and file.state != "closed":
            file.state = "open"
            descriptor = os.open(self._text, os.O_RDONLY)
            found = os.fstat(descriptor)
            file.read_from(descriptor, (found.st_dev, found.st_ino), is_final=True)

    @property
    def is_done(self) -> bool:
        return bool(self.files) and self.files[0].state == "closed"
