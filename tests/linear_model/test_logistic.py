import numpy as np
import pytest

from l0.linear_model import L0Classifier, logistic
from l0.linear_model.design import standardised_design
from l0.linear_model.logistic import LogisticProblem, LogisticSwap, Outcome
from l0.linear_model.statistics import Statistics
from tests.linear_model.problems import classes, planted, swapped


def problem(seed=0, n_classes=2, l2=0.01, n=150, p=8):
    x, y, _ = classes(seed, n=n, p=p, n_classes=n_classes, noise=2.0)
    indicators = (y[:, None] == np.unique(y)[1 if n_classes == 2 else 0 :]).astype(float)
    outcome = Outcome(indicators, np.full(n, 1 / n), l2, centre=True)
    design = standardised_design(x, np.ones(n), centre=True).design
    centred = (indicators - indicators.mean(axis=0)) / np.sqrt(n)
    return LogisticProblem(Statistics.of(design, centred, l2), design=design, outcome=outcome)


@pytest.mark.parametrize("l2", [0.1, 1e-3])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fit_ends_at_the_same_place_wherever_it_starts(n_classes, l2):
    x, y, _ = classes(6, n=200, p=5, n_classes=n_classes)
    indicators = (y[:, None] == np.unique(y)[1 if n_classes == 2 else 0 :]).astype(float)
    outcome = Outcome(indicators, np.full(200, 1 / 200), l2, centre=True)
    fit = outcome.fit(x)
    np.testing.assert_allclose(x.T @ fit.residual / 200, l2 * fit.slopes, atol=1e-8)
    generator = np.random.default_rng(0)
    for _ in range(5):
        slopes = generator.normal(size=fit.slopes.shape)
        again = outcome.fit(x, (slopes, generator.normal(size=fit.intercept.shape)))
        np.testing.assert_allclose(again.slopes, fit.slopes, atol=1e-6)
        assert again.loss == pytest.approx(fit.loss, rel=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_fit_is_at_its_optimum(n_classes):
    stated = problem(n_classes=n_classes)
    chosen = np.array([1, 5])
    fit, outcome = stated.fit(chosen), stated.outcome
    z = stated.design.columns(chosen) / np.sqrt(outcome.weights)[:, None]
    gradient = z.T @ (outcome.weights[:, None] * fit.residual) - outcome.l2 * fit.slopes
    np.testing.assert_allclose(gradient, 0, atol=1e-8)
    np.testing.assert_allclose(outcome.weights @ fit.residual, 0, atol=1e-8)
    if n_classes > 2:
        np.testing.assert_allclose(fit.slopes.sum(axis=1), 0, atol=1e-12)
        np.testing.assert_allclose(fit.residual.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_swap_gains_the_difference_of_two_fits(n_classes):
    for seed in range(4):
        stated = problem(seed, n_classes)
        chosen = [0, 3]
        now = stated.swap_from(np.array(chosen))
        assert isinstance(now, LogisticSwap)
        every = {
            (out, new): -2 * stated.fit(np.array(swapped(chosen, out, new))).loss - now.value
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


def test_the_quadratic_approximation_ranks_the_columns_to_add():
    stated = problem(n_classes=2, n=1000)
    now = stated.swap_from(np.array([0]))
    gains = np.array([-2 * stated.fit(np.array([0, new])).loss - now.value for new in range(1, 8)])
    np.testing.assert_allclose(now.adds()[1:], gains, rtol=0.2, atol=1e-3)
    assert now.drops()[0] == pytest.approx(
        now.value + 2 * stated.fit(np.empty(0, np.int64)).loss, rel=0.3, abs=1e-3
    )


def test_a_part_of_a_problem_has_the_same_fits():
    stated = problem()
    units = np.array([1, 4, 6])
    part = stated.restricted(units)
    assert part.fit(np.array([2, 0])).loss == pytest.approx(stated.fit(units[[2, 0]]).loss)
    assert part.n_units == 3 and part.checked < stated.checked


def test_a_fit_does_not_depend_on_where_it_starts_and_is_kept():
    stated, other = problem(), problem()
    near = np.array([0, 2])
    stated.fit(near)
    chosen = np.array([2, 5])
    assert stated.fit(chosen, near).loss == pytest.approx(other.fit(chosen).loss, rel=1e-9)
    assert stated.fit(chosen) is stated.fit(chosen)


def test_each_row_has_some_curvature_and_at_most_a_quarter():
    x, _, _ = planted(4)
    y = (x[:, :1] > 0).astype(float)
    outcome = Outcome(y, np.full(60, 1 / 60), 1e-6, centre=True)
    fit = outcome.fit(x[:, :1])
    curvature = 60 * outcome.curvature(fit)
    assert (curvature >= 1e-6).all() and (curvature <= 0.25).all()


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("options", [{}, {"must_keep": [1]}, {"groups": np.arange(12) // 2}])
def test_many_rows_give_the_same_choice(monkeypatch, options, n_classes):
    x, y, _ = classes(3, n=400, n_classes=n_classes)
    few = [L0Classifier(3, **options).fit(x, y)]
    few.append(L0Classifier(max_features=6, **options).fit(x, y))
    monkeypatch.setattr(logistic, "MANY", 0)
    many = [L0Classifier(3, **options).fit(x, y)]
    many.append(L0Classifier(max_features=6, **options).fit(x, y))
    for one, other in zip(few, many, strict=True):
        assert one.support_.tolist() == other.support_.tolist()
        assert other.swap_gap_ <= 1e-9
        np.testing.assert_allclose(one.coef_, other.coef_, atol=1e-6)


def test_few_fits_are_kept_and_the_oldest_go(monkeypatch):
    monkeypatch.setattr(logistic, "KEPT_BYTES", 0)
    stated = problem()
    for first in range(7):
        stated.fit(np.array([first, first + 1]))
        stated.fit(np.array([0, 1]))
    assert len(stated._fits) == logistic.KEPT_FITS
    assert (0, 1) in stated._fits
