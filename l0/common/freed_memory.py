"""Memory that was freed goes back to the system, where the C library would keep it."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Give freed memory back to the system.

    The C library of Linux gives an array back at once if it is larger than a threshold, which grows
    to 32 MB with the arrays that are freed. It keeps all smaller ones for later: of a fit, vectors
    and small dense matrices. Other systems do without this.
    """
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
