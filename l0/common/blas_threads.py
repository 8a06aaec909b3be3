"""One BLAS thread: on many small matrices, more threads only wait for each other."""

from __future__ import annotations

import functools
import threading
from typing import Any

from threadpoolctl import ThreadpoolController


class OneThread:
    """A context in which BLAS runs in one thread.

    The limit holds for the whole process. Several parts of a program may be inside at once: the
    first one to enter sets the limit, and the last one to leave lifts it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limit = _pools().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._limit.restore_original_limits()


@functools.cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


one_thread = OneThread()
