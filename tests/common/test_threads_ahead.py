import threading
import time

import numpy as np
import pytest

from l0.common.threads_ahead import AHEAD, made_ahead


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_results_come_in_order(n_threads):
    def late_at_first(number):
        time.sleep(0.001 * (20 - number))
        return number**2

    assert list(made_ahead(late_at_first, range(20), n_threads)) == [n**2 for n in range(20)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_no_items_give_no_results(n_threads):
    assert not list(made_ahead(str, [], n_threads))


@pytest.mark.parametrize("n_threads", [1, 2])
def test_an_error_comes_in_place_of_its_result_and_ends_the_work(n_threads):
    made = []

    def make(number):
        made.append(number)
        if number == 1:
            raise ValueError("one")
        return number

    results = made_ahead(make, range(1000), n_threads)
    assert next(results) == 0
    with pytest.raises(ValueError, match="one"):
        next(results)
    assert len(made) <= 2 + (AHEAD + 1) * n_threads


def test_threads_work_at_the_same_time():
    both = threading.Barrier(2, timeout=60)
    assert sorted(made_ahead(lambda _: both.wait(), range(2), 2)) == [0, 1]


def test_results_that_nobody_takes_are_few():
    made = []
    results = made_ahead(made.append, range(1000), 2)
    next(results)
    time.sleep(0.05)
    assert len(made) <= 1 + AHEAD * 2
    results.close()


@pytest.mark.parametrize("n_threads", [1, 2])
def test_overflow_is_treated_as_by_the_caller(n_threads):
    large = np.array([1e300])
    with np.errstate(over="ignore"):
        assert list(made_ahead(lambda x: (x * x).item(), [large], n_threads)) == [np.inf]
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        list(made_ahead(lambda x: x * x, [large], n_threads))
