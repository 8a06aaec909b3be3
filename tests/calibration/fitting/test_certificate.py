import time

import numpy as np
import pytest

from l0.calibration.fitting.certificate import ZERO, Certificate
from tests.calibration.fitting.programs import program
from tests.thread_ranks import on_ranks


def offer(certificate, of, q, lam):
    certificate.offer(q, of.times(q), lam, of.back(lam))


def test_the_best_ratios_and_the_best_multipliers_are_kept_apart():
    of = program()
    certificate = Certificate(of, gap=1e-9)
    rng = np.random.default_rng(0)
    tried = [(np.exp(rng.normal(0, 0.3, 30)), rng.uniform(-0.25, 0.25, 4)) for _ in range(20)]
    for pair in tried:
        offer(certificate, of, *pair)
    primal = [of.primal(q, of.times(q)) for q, _ in tried]
    dual = [of.dual(lam, of.back(lam))[0] for _, lam in tried]
    assert certificate.iterations == 20
    assert (certificate.primal, certificate.dual) == (min(primal), max(dual))
    assert certificate.q is tried[int(np.argmin(primal))][0]
    assert certificate.multipliers is tried[int(np.argmax(dual))][1]
    assert certificate.gap == pytest.approx((min(primal) - max(dual)) / min(primal))
    assert not certificate.done


def test_another_certificate_goes_on_from_the_best():
    of, rng = program(), np.random.default_rng(0)
    one = Certificate(of, gap=1e-9)
    offer(one, of, np.exp(rng.normal(0, 0.3, 30)), rng.uniform(-0.25, 0.25, 4))
    best, again = one.best, program()
    other = Certificate(again, gap=1e-9)
    other.continue_from(best)
    assert (other.gap, other.iterations, again.passes) == (one.gap, 1, of.passes)
    np.testing.assert_array_equal(other.q, one.q)
    np.testing.assert_array_equal(other.multipliers, one.multipliers)


def test_nothing_is_known_before_the_first_offer():
    certificate = Certificate(program(), gap=1e-3)
    assert certificate.gap == np.inf
    assert not certificate.certified
    assert not certificate.done


@pytest.mark.parametrize(("gap", "certified"), [(1.0, True), (0.01, False)])
def test_a_fit_is_certified_at_its_gap(gap, certified):
    of = program()
    certificate = Certificate(of, gap)
    offer(certificate, of, np.ones(30), np.zeros(4))
    assert certificate.certified is certificate.done is certified
    assert certificate.gap == 1.0


def test_a_gap_of_nearly_nothing_is_no_share_of_nothing():
    of = program(low=np.full(4, -1e9), high=np.full(4, 1e9))
    certificate = Certificate(of, gap=1e-9)
    offer(certificate, of, np.full(30, 1 + 1e-9), np.zeros(4))
    assert certificate.certified
    assert 0 <= certificate.gap <= ZERO


def test_a_required_target_that_is_missed_certifies_nothing():
    of = program(share=np.full(4, np.inf))
    certificate = Certificate(of, gap=1e-3)
    offer(certificate, of, np.ones(30), np.zeros(4))
    assert certificate.primal == certificate.gap == np.inf
    assert not certificate.done


def test_the_deadline_stops_a_fit_that_is_not_done():
    of = program()
    certificate = Certificate(of, gap=1e-9, deadline=time.perf_counter() - 1)
    offer(certificate, of, np.ones(30), np.zeros(4))
    assert (certificate.stopped, certificate.done) == ("max_seconds", True)
    late = Certificate(of, gap=1.0, deadline=time.perf_counter() - 1)
    offer(late, of, np.ones(30), np.zeros(4))
    assert (late.stopped, late.done) == ("", True)


@pytest.mark.parametrize("late", [True, False])
def test_the_clock_of_rank_0_decides_for_all_ranks(late):
    now = time.perf_counter()

    def stopped(ranks):
        of = program(ranks=ranks)
        deadline = now - 1 if late == ranks.is_first else now + 1e6
        certificate = Certificate(of, gap=1e-9, deadline=deadline)
        offer(certificate, of, np.ones(30), np.zeros(4))
        return certificate.stopped

    assert on_ranks(3, stopped) == 3 * ["max_seconds" if late else ""]


def test_the_watch_sees_each_iteration():
    of = program()
    seen = []
    certificate = Certificate(of, 1e-3, watch=lambda of, estimates: seen.append(estimates))
    offer(certificate, of, np.ones(30), np.zeros(4))
    np.testing.assert_array_equal(seen, [of.times(np.ones(30))])
