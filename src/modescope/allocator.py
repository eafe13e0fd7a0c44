"""How a process that trains asks the system for memory."""

import ctypes
import sys
from contextlib import suppress

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's names of the settings (malloc.h)
_KEPT, _LARGEST = 2**31 - 1, 32 * 2**20  # bytes; glibc takes no larger ones


def keep_freed_memory() -> None:
    """Keep what is freed for the next step, where glibc hands out memory; elsewhere do nothing.

    A training step frees and asks for the same few megabytes again and again. By default glibc gives them back to the
    system each time, which then has to fill them with zeros page by page: measured on SmallCNN, 5 to 20 % of a step.
    This is for processes of our own (workers, the command line), never for a program that imports us.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            mallopt = ctypes.CDLL("libc.so.6").mallopt
            mallopt(_MMAP_THRESHOLD, _LARGEST)
            mallopt(_TRIM_THRESHOLD, _KEPT)
