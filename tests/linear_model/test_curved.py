import numpy as np
import pytest

from l0.linear_model import L0Classifier, L0Cox, L0Regressor, curved
from l0.linear_model.choice import Question, state
from l0.linear_model.curved import CHECKED, CHECKED_LAST, CurvedProblem, CurvedSwap
from l0.linear_model.rows import Rows
from tests.linear_model.problems import LOSSES, classes, outcomes, swapped


def problem(seed=0, kind="two classes", l2=0.01, n=150, p=8):
    """A problem with one of the losses."""
    x, y, loss_of = outcomes(seed, kind, n=n, p=p)
    none = np.empty(0, np.int64)
    question = Question(loss_of, [3], None, none, None, patient=False, centre=True, l2=l2)
    found = state(Rows(x, y, np.ones(n)), question).problem
    assert isinstance(found, CurvedProblem)
    return found


@pytest.mark.parametrize("kind", LOSSES)
def test_a_fit_is_at_its_optimum(kind):
    stated = problem(kind=kind)
    chosen = np.array([1, 5])
    fit, loss = stated.fit(chosen), stated.loss
    z = stated.design.columns(chosen) / np.sqrt(loss.weights)[:, None]
    gradient = z.T @ (loss.weights[:, None] * fit.point.residual) - 0.01 * fit.slopes
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    np.testing.assert_allclose(loss.weights @ fit.point.residual, 0, atol=1e-6)


@pytest.mark.parametrize("kind", LOSSES)
def test_a_swap_gains_the_difference_of_two_fits(kind):
    for seed in range(4):
        stated = problem(seed, kind)
        chosen = [0, 3]
        now = stated.swap_from(np.array(chosen))
        assert isinstance(now, CurvedSwap)
        every = {
            (out, new): -2 * stated.fit(np.array(swapped(chosen, out, new))).value - now.value
            for out in range(2)
            for new in range(8)
            if new not in chosen
        }
        gain, out, new = now.best_swap()
        assert gain == pytest.approx(every[out, new], abs=1e-9)
        # Here all swaps are among the 20 that are checked: if one helps, one is found.
        assert (gain > 1e-9) == (max(every.values()) > 1e-9)
        if gain <= 1e-9:
            assert gain == pytest.approx(max(every.values()), abs=1e-9)


@pytest.mark.parametrize("kind", ["two classes", "counts", "survival"])
def test_the_quadratic_approximation_ranks_the_columns_to_add(kind):
    stated = problem(kind=kind, n=1000)
    now = stated.swap_from(np.array([0]))
    gains = np.array([-2 * stated.fit(np.array([0, new])).value - now.value for new in range(1, 8)])
    np.testing.assert_allclose(now.adds()[1:], gains, rtol=0.2, atol=1e-3)
    assert now.drops()[0] == pytest.approx(
        now.value + 2 * stated.fit(np.empty(0, np.int64)).value, rel=0.3, abs=1e-3
    )


def test_a_part_of_a_problem_has_the_same_fits():
    stated = problem()
    units = np.array([1, 4, 6])
    part = stated.restricted(units)
    assert part.fit(np.array([2, 0])).value == pytest.approx(stated.fit(units[[2, 0]]).value)
    assert part.n_units == 3
    assert part.screened and not stated.screened and CHECKED < CHECKED_LAST


def test_a_fit_does_not_depend_on_where_it_starts_and_is_kept():
    stated, other = problem(), problem()
    near = np.array([0, 2])
    stated.fit(near)
    chosen = np.array([2, 5])
    assert stated.fit(chosen, near).value == pytest.approx(other.fit(chosen).value, rel=1e-9)
    assert stated.fit(chosen) is stated.fit(chosen)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("options", [{}, {"must_keep": [1]}, {"groups": np.arange(12) // 2}])
def test_many_rows_give_the_same_choice(monkeypatch, options, n_classes):
    x, y, _ = classes(3, n=400, n_classes=n_classes)
    few = [L0Classifier(3, **options).fit(x, y)]
    few.append(L0Classifier(max_features=6, **options).fit(x, y))
    monkeypatch.setattr(curved, "MANY", 0)
    many = [L0Classifier(3, **options).fit(x, y)]
    many.append(L0Classifier(max_features=6, **options).fit(x, y))
    for one, other in zip(few, many, strict=True):
        assert one.support_.tolist() == other.support_.tolist()
        assert other.swap_gap_ <= 1e-9
        np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-6)


def test_few_fits_are_kept_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(curved, "KEPT_BYTES", 0)
    stated = problem()
    for first in range(7):
        stated.fit(np.array([first, first + 1]))
        stated.fit(np.array([0, 1]))
    assert len(stated._fits) == curved.KEPT_FITS
    assert (0, 1) in stated._fits


@pytest.mark.parametrize("kind", ["counts", "outliers", "survival"])
def test_many_rows_give_the_same_choice_with_each_loss(monkeypatch, kind):
    x, y, _ = outcomes(3, kind, n=400, p=12)
    make = {
        "counts": lambda: L0Regressor(3, loss="poisson"),
        "outliers": lambda: L0Regressor(3, loss="huber"),
        "survival": lambda: L0Cox(3),
    }[kind]
    few = make().fit(x, y)
    monkeypatch.setattr(curved, "MANY", 0)
    many = make().fit(x, y)
    assert many.support_.tolist() == few.support_.tolist()
    np.testing.assert_allclose(many.coef_, few.coef_, atol=1e-5)
