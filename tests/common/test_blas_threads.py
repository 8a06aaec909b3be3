from concurrent.futures import ThreadPoolExecutor

from threadpoolctl import threadpool_info, threadpool_limits

from l0.common.blas_threads import one_thread
from l0.linear_model import L0Regressor
from tests.linear_model.problems import planted


def threads():
    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_blas_gets_its_threads_back_after_searches_side_by_side():
    x, y, _ = planted(0, n=100, p=200, noise=1.0)
    with threadpool_limits(2, "blas"):
        before = threads()
        with one_thread:
            assert set(threads()) == {1}
        with ThreadPoolExecutor(4) as pool:
            models = list(pool.map(lambda _: L0Regressor(3).fit(x, y), range(12)))
        assert threads() == before
    assert len({tuple(model.support_) for model in models}) == 1
