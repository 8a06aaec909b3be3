"""Work of several threads that are ahead of the loop that takes its results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")
Result = TypeVar("Result")

#: A thread is at most so many results ahead: results that wait take memory.
AHEAD = 2


def made_ahead(
    make: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Result]:
    """Yield `make(item)` for each item, in order.

    Parameters
    ----------
    make : callable
        It spends its time in code that lets other threads run, as that of NumPy and SciPy mostly
        does. What it raises is raised in place of its result. It warns of overflow and the like
        as the caller does (`numpy.errstate`).
    items : iterable
    n_threads : int
        With one, each result is made when it is asked for.
    """
    if n_threads == 1:
        yield from map(make, items)
        return
    states = np.geterr()

    def made(item: Item) -> Result:
        with np.errstate(**states):
            return make(item)

    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(n_threads)
    try:
        for item in items:
            waiting.append(pool.submit(made, item))
            if len(waiting) > AHEAD * n_threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
