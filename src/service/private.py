"""Files of our own are for their owner alone."""

import os

_UMASK = 0o077


def keep_files_private() -> None:
    """Have all files and folders that this process makes from now on be for its owner alone. Each service begins so."""
    os.umask(_UMASK)
