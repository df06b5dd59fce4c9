"""Gives freed memory back to the system."""

import ctypes


def give_back() -> None:
    """Where the C library can: glibc keeps what was freed between what is in use. Takes some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
