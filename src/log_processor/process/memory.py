"""Returns freed memory to the system."""

import ctypes


def trim() -> None:
    """Return free memory to the system, where the C library can. glibc keeps it otherwise. Takes some milliseconds."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
