import threading

import numpy as np
import pytest

from l0.calibration.fitting.tree_threads import up_the_tree


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


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_is_raised_and_ends_the_work_above(n_threads):
    done = []

    def work(number):
        if number == 1:
            raise np.linalg.LinAlgError("a front is not positive definite")
        done.append(number)

    with pytest.raises(np.linalg.LinAlgError):
        up_the_tree(range(4), [[], [], [0, 1], [2]], work, n_threads)
    assert not {2, 3} & set(done)


def test_nodes_that_do_not_wait_for_each_other_run_at_the_same_time():
    both = threading.Barrier(2, timeout=60)
    up_the_tree(range(3), [[], [], [0, 1]], lambda number: number == 2 or both.wait(), 2)
