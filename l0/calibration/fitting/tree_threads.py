"""Work at the nodes of a tree, each after its children, in several threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor


def up_the_tree(
    numbers: Iterable[int],
    children: Sequence[Sequence[int]],
    work: Callable[[int], None],
    n_threads: int,
) -> None:
    """Do the work of some nodes.

    Parameters
    ----------
    numbers : iterable of int
        The nodes, children before their parents. The work of other children is done already.
    children : sequence of sequence of int
        Of each node of the tree.
    work : callable
        It takes a node. What it raises ends the work of all nodes above, and is raised.
    n_threads : int
        With one, the nodes come in order.
    """
    if n_threads == 1:
        for number in numbers:
            work(number)
        return
    done: dict[int, Future[None]] = {}

    def after_children(number: int) -> None:
        # A thread takes the first node that no other has taken: it never waits for one behind it.
        for child in children[number]:
            if child in done:
                done[child].result()
        work(number)

    with ThreadPoolExecutor(n_threads) as pool:
        for number in numbers:
            done[number] = pool.submit(after_children, number)
        for future in done.values():
            future.result()
