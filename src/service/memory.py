"""Memory: what of it goes back to the system, and how often cycles are collected."""

import ctypes
import gc

# M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of mallopt(3).
_TRIM_THRESHOLD = -1
_MMAP_THRESHOLD = -3
# Bytes from which on an allocation is returned as soon as it is freed. By default glibc raises the bound by itself.
_LARGE_BYTES = 1 << 20
# Free bytes at the end of a heap that are kept. glibc no longer adapts this bound once the other one is set, and with
# its default of 128 KiB the arrays of an answer would have the system map the same pages again and again.
_KEPT_BYTES = 16 << 20


def return_large() -> None:
    """Return large allocations to the system as soon as they are freed, where the C library can. glibc keeps them."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)


def trim() -> None:
    """Return free memory to the system, where the C library can. Takes some milliseconds."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def collect_cycles_rarely() -> None:
    """Collect cycles rarely, in a program that makes millions of short-lived rows and hardly a cycle. By default the
    collector would run all the time."""
    gc.set_threshold(200_000, 20, 100)
