"""Has the C library return freed memory to the system. glibc keeps it otherwise."""

import ctypes

# M_MMAP_THRESHOLD of mallopt(3).
_MMAP_THRESHOLD = -3
# Bytes from which on an allocation is returned as soon as it is freed. By default glibc raises the bound by itself.
_LARGE_BYTES = 1 << 20


def return_large() -> None:
    """Return large allocations to the system as soon as they are freed, where the C library can."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def trim() -> None:
    """Return free memory to the system, where the C library can. Takes some milliseconds."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
