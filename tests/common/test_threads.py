import gc
import threading
import time
import weakref

import numpy as np
import pytest
import torch

from l0.common.threads import (
    in_shared_stretches,
    in_stretches,
    side_by_side,
    thread_parts,
    up_the_tree,
)
from tests.thread_ranks import ThreadRanks


def tree(n, seed):
    """Give each node but the last one a parent behind it."""
    generator = np.random.default_rng(seed)
    children = [[] for _ in range(n)]
    for number in range(n - 1):
        children[generator.integers(number + 1, n)].append(number)
    return children


@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("seed", range(5))
def test_each_node_comes_once_after_its_children(n_threads, seed):
    children, done = tree(60, seed), []

    def work(number):
        assert set(children[number]) <= set(done)
        done.append(number)

    up_the_tree(range(60), children, work, n_threads)
    assert sorted(done) == list(range(60))


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_other_nodes_are_done_already(n_threads):
    done = []
    up_the_tree([2, 4, 5], [[], [0], [1], [], [3], [2, 4]], done.append, n_threads)
    assert set(done) == {2, 4, 5}
    assert done[-1] == 5


@pytest.mark.parametrize("n_threads", [1, 3])
def test_no_nodes_are_no_work(n_threads):
    up_the_tree([], [[]], pytest.fail, n_threads)


@pytest.mark.parametrize("error", [np.linalg.LinAlgError, MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_is_raised_and_ends_the_work_above(n_threads, error):
    done = []

    def work(number):
        if number == 1:
            raise error("a front is not positive definite")
        done.append(number)

    with pytest.raises(error, match="not positive"):
        up_the_tree(range(4), [[], [], [0, 1], [2]], work, n_threads)
    assert not {2, 3} & set(done)


def test_nodes_that_do_not_wait_for_each_other_run_at_the_same_time():
    both = threading.Barrier(2, timeout=60)
    up_the_tree(range(3), [[], [], [0, 1]], lambda number: number == 2 or both.wait(), 2)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_overflow_is_treated_as_by_the_caller(n_threads):
    def work(_):
        np.array([1e300]) * 1e300

    with np.errstate(over="ignore"):
        up_the_tree(range(5), [[]] * 5, work, n_threads)
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        up_the_tree(range(5), [[]] * 5, work, n_threads)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_no_thread_goes_on_if_the_start_of_another_is_interrupted(error, monkeypatch):
    before, begun, started = threading.active_count(), [], threading.Event()

    class Failing(threading.Thread):
        """Starts, and then raises as if the caller were interrupted: the second one."""

        def start(self):
            super().start()
            if started.is_set():
                raise error("interrupted")
            started.set()

    monkeypatch.setattr("threading.Thread", Failing)

    def work(node):
        begun.append(node)
        time.sleep(0.01)

    with pytest.raises(error, match="interrupted"):
        up_the_tree(range(100), [[]] * 100, work, 3)
    assert threading.active_count() == before
    assert len(begun) < 100


def test_no_thread_keeps_an_interrupted_process_from_ending():
    def work(_):
        thread = threading.current_thread()
        assert thread.daemon or thread is threading.main_thread()
        both.wait()

    both = threading.Barrier(2, timeout=60)
    up_the_tree(range(2), [[], []], work, 2)


def test_what_an_error_has_seen_is_freed_with_it():
    class Work:
        def __call__(self, node):
            raise MemoryError("no room")

    work = Work()
    gone = weakref.ref(work)
    gc.disable()
    try:
        with pytest.raises(MemoryError, match="no room"):
            up_the_tree(range(4), [[]] * 4, work, 2)
        del work
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_each_piece_of_work_is_done_once(n_threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    done = []
    side_by_side(20, done.append)
    assert sorted(done) == list(range(20))
    side_by_side(0, pytest.fail)


def test_each_thread_gets_a_stretch_of_about_the_same_work(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr("l0.common.threads.LEAST", 10)
    sizes = np.array([5, 5, 10, 4, 6, 0], np.int32)
    assert thread_parts(sizes) == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert thread_parts(sizes, 5) == [slice(0, 2), slice(2, 3), slice(3, 6)]
    assert thread_parts(sizes, 15) == [slice(0, 3), slice(3, 6)]
    assert thread_parts(sizes, 31) == [slice(0, 6)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_each_element_is_in_one_stretch(n_threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    times = np.zeros(20, np.int64)

    def work(stretch):
        times[stretch] += 1

    in_stretches(np.arange(20), work)
    np.testing.assert_array_equal(times, 1)


@pytest.mark.parametrize("sizes", [[], [0, 0], [3, 4, 2], [19]])
def test_little_work_is_done_in_one_stretch(sizes, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr("l0.common.threads.LEAST", 10)
    assert thread_parts(np.array(sizes, np.int64)) == [slice(0, len(sizes))]


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("n_threads", [1, 3])
def test_ranks_work_on_the_stretches_of_their_parts(size, n_threads, monkeypatch):
    monkeypatch.setattr("l0.common.threads.LEAST", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    sizes, done = np.array([3, 0, 5, 1, 1, 7, 2]), []
    for rank in range(size):
        own = []
        ranks = ThreadRanks(rank, [None] * size, None)
        parts = in_shared_stretches(sizes, lambda part: own.extend(range(7)[part]), ranks)  # noqa: B023
        assert sorted(own) == list(range(7)[parts[rank]])
        done += own
    assert sorted(done) == list(range(7))
