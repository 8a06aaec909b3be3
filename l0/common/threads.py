"""Work in several threads: on stretches of a list, and at the nodes of a tree."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from l0.common.ranks import Ranks, even_parts

#: Stretches hold this much on average: with less work, threads would only wait for each other.
LEAST = 1 << 20


def thread_parts(sizes: NDArray[np.integer], least: int = 1) -> list[slice]:
    """Cut a list into a stretch for each thread of torch, of about the same sum of sizes.

    Parameters
    ----------
    sizes : ndarray of int, shape (n,)
        The work of each element, as entries of a matrix.
    least : int
        Stretches hold this much on average, and `LEAST`: with less there are fewer of them.
    """
    enough = max(1, int(sizes.sum(dtype=np.int64)) // max(LEAST, least))
    return even_parts(sizes, min(torch.get_num_threads(), enough))


def side_by_side(n: int, work: Callable[[int], None]) -> None:
    """Do n pieces of work that do not wait for each other, at the same time.

    A pool of `concurrent.futures` would fail in a thread of the user's that goes on after the main
    thread has ended.

    Parameters
    ----------
    n : int
    work : callable
        It takes a number below n. For errors, see `up_the_tree`.
    """
    up_the_tree(range(n), [()] * n, work, min(n, torch.get_num_threads()))


def in_stretches(sizes: NDArray[np.integer], work: Callable[[slice], None]) -> None:
    """Work on the stretches of a list (`thread_parts`) at the same time.

    Parameters
    ----------
    sizes : ndarray of int, shape (n,)
        The work of each element, as entries of a matrix.
    work : callable
        It takes a stretch.
    """
    stretches = thread_parts(sizes)
    side_by_side(len(stretches), lambda number: work(stretches[number]))


def in_shared_stretches(
    sizes: NDArray[np.integer], work: Callable[[slice], None], ranks: Ranks
) -> list[slice]:
    """Work on the stretches of the part of a list that this rank has, and give the parts of all.

    Parameters
    ----------
    sizes, work
        See `in_stretches`.
    ranks : Ranks
    """
    parts = even_parts(sizes, ranks.size)
    own = parts[ranks.rank]
    in_stretches(
        sizes[own], lambda part: work(slice(own.start + part.start, own.start + part.stop))
    )
    return parts


def up_the_tree(
    nodes: Sequence[int],
    children: Sequence[Sequence[int]],
    work: Callable[[int], None],
    n_threads: int,
) -> None:
    """Do the work of some nodes.

    Of the nodes whose children are done, a thread takes the first. What children give to their
    parents then waits for about as short as with one thread, which takes the nodes in order.

    Parameters
    ----------
    nodes : sequence of int
        In ascending order. Children have smaller numbers than their parents. The work of children
        that are not among the nodes is done already.
    children : sequence of sequence of int
        Of each node of the tree.
    work : callable
        It takes a node. If it raises, or the caller is interrupted, no other node is begun, and the
        error is raised after the nodes that are under way. It warns of overflow and the like as the
        caller does (`numpy.errstate`).
    n_threads : int
    """
    if n_threads <= 1:
        for node in nodes:
            work(node)
        return
    _Threads(nodes, children, work).run(n_threads)


class _Threads:
    def __init__(
        self, nodes: Sequence[int], children: Sequence[Sequence[int]], work: Callable[[int], None]
    ) -> None:
        self._work = work
        among = set(nodes)
        below = {node: [child for child in children[node] if child in among] for node in nodes}
        self._parent = {child: node for node in nodes for child in below[node]}
        self._waits_for = {node: len(below[node]) for node in nodes}
        self._ready = [node for node in nodes if not below[node]]  # ascending, and so a heap
        self._left = len(nodes)
        self._is_stopped = False
        self._errors: list[BaseException] = []
        # The caller may be interrupted as it enters a condition, which is Python's code: then the
        # lock of the condition would stay shut. It enters the lock itself, which is not.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._states = np.geterr()

    def run(self, n_threads: int) -> None:
        # If the caller is interrupted as it waits for a thread to begin, the thread may hang. As a
        # daemon, it lets the process end.
        threads = [
            threading.Thread(target=self._take_nodes, daemon=True) for _ in range(n_threads - 1)
        ]
        try:
            for thread in threads:
                thread.start()
        except BaseException as error:  # no threads are left, or the caller is interrupted
            self._stop(error)
        self._take_nodes()
        for thread in threads:
            with suppress(RuntimeError):  # it has not begun, and will begin no node
                thread.join()
        if self._errors:
            first = self._errors[0]
            self._errors.clear()
            try:
                raise first
            finally:
                del first  # Its traceback refers to this frame: a circle would keep large arrays.

    def _take_nodes(self) -> None:
        try:
            with np.errstate(**self._states):
                while (node := self._next()) is not None:
                    self._work(node)
                    self._finish(node)
        except BaseException as error:
            self._stop(error)

    def _stop(self, error: BaseException) -> None:
        with self._lock:
            self._is_stopped = True
            self._errors.append(error)
            self._changed.notify_all()

    def _next(self) -> int | None:
        """Wait for a node; None if there will be no other."""
        with self._lock:
            self._changed.wait_for(lambda: self._ready or self._is_over)
            return None if self._is_over else heapq.heappop(self._ready)

    @property
    def _is_over(self) -> bool:
        return self._left == 0 or self._is_stopped

    def _finish(self, node: int) -> None:
        with self._lock:
            self._left -= 1
            parent = self._parent.get(node)
            if parent is not None:
                self._waits_for[parent] -= 1
                if not self._waits_for[parent]:
                    heapq.heappush(self._ready, parent)
            self._changed.notify_all()
