"""Whether intervals on held-out rows cover the truth as often as they say, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor, split_inference
from tests.linear_model.problems import classes, outcomes, planted

TRUTH = np.array([1.0, -0.7, *[0.0] * 28])


def drawn(kind, seed, n=400):
    """Independent columns, of which two make an outcome with the coefficients of `TRUTH`."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 30))
    score = x @ TRUTH
    if kind == "squared":  # the errors differ between rows
        return L0Regressor(4), x, score + (0.5 + np.abs(x[:, 0])) * generator.normal(size=n)
    if kind == "classes":
        return L0Classifier(4), x, generator.random(n) < 1 / (1 + np.exp(-score))
    if kind == "counts":
        return L0Regressor(4, loss="poisson"), x, generator.poisson(np.exp(score))
    time, seen = generator.exponential(np.exp(-score)), generator.exponential(2, n)
    return L0Cox(4), x, np.column_stack([np.minimum(time, seen), time <= seen])


def covered(kind, runs, level=0.9, **options):
    """The share of intervals that cover the coefficients of the model that was chosen."""
    inside = []
    for seed in range(runs):
        found = split_inference(
            *drawn(kind, seed), level=level, random_state=1000 + seed, **options
        )
        if not {0, 1} <= set(found.support.tolist()):
            continue  # then the model of the choice has other coefficients than `TRUTH`
        truth = TRUTH[found.support]
        inside.extend((found.low[0] <= truth) & (truth <= found.high[0]))
    assert len(inside) > 3 * runs
    return np.mean(inside), np.sqrt(level * (1 - level) / len(inside))


def test_intervals_cover_as_often_as_they_say():
    share, error = covered("squared", 30)
    assert abs(share - 0.9) < 3.5 * error


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["squared", "classes", "counts", "survival"])
def test_intervals_of_every_loss_cover_as_often_as_they_say(kind):
    share, error = covered(kind, 150)
    assert abs(share - 0.9) < 3.5 * error


def cases():
    x, y, _ = planted(0, n=120, p=10, noise=1.0)
    weights = np.random.default_rng(0).integers(0, 3, 120)
    yield L0Regressor(3), x, y, weights, 1
    yield L0Regressor(3, fit_intercept=False, l2=0.1), sp.csr_array(x), y, None, 1
    yield L0Regressor(3, nonnegative=True), x.astype(np.float32), y, None, 1
    yield L0Regressor(2, groups=np.arange(10) // 2, must_keep=[3]), x, y, None, 1
    yield L0Regressor(), x, np.column_stack([y, 100 * y + x[:, 0]]), weights, 2
    yield L0Regressor(2, loss="poisson"), x, np.random.default_rng(0).poisson(3, 120), None, 1
    yield L0Classifier(2, class_weight="balanced"), *classes(0, 300, 10, noise=4.0)[:2], None, 1
    yield L0Classifier(cv=3, max_features=2), *classes(0, 300, 10, 3, 3, 4.0)[:2], None, 2
    yield L0Cox(3), *outcomes(0, "survival", n=120)[:2], weights, 1


@pytest.mark.parametrize("case", range(9))
def test_every_estimator_has_intervals(case):
    estimator, x, y, weights, q = list(cases())[case]
    found = split_inference(estimator, x, y, sample_weight=weights)
    m = len(found.support)
    assert not hasattr(estimator, "support_") and m
    assert not set(found.selection_rows) & set(found.inference_rows)
    again = estimator.fit(
        x[found.selection_rows],
        y[found.selection_rows],
        None if weights is None else weights[found.selection_rows],
    )
    assert again.support_.tolist() == found.support.tolist()
    assert found.coefficients.shape == found.low.shape == (q, m)
    assert (found.low < found.coefficients).all() and (found.coefficients < found.high).all()
    table = found.to_frame()
    assert len(table) == q * m and ("outcome" in table) == (q > 1)
    assert ((table["p_value"] < 0.05) == (found.low * found.high > 0).ravel()).all()


def test_names_classes_and_what_is_said():
    x, y, _ = classes(0, n=300, p=4, n_classes=3, noise=4.0)
    frame = pd.DataFrame(x, columns=list("abcd"))
    found = split_inference(L0Classifier(2), frame, np.array(["u", "v", "w"])[y])
    table = found.to_frame("polars")
    assert table["outcome"].to_list() == ["v", "v", "w", "w"]
    assert set(table["feature"]) <= set("abcd")
    assert f"to the {len(found.inference_rows)} held-out rows" in found.statement


def test_no_chosen_column_has_no_interval():
    x, _, _ = planted(0, n=60, p=5)
    times = np.column_stack([np.exp(x[:, 0]), np.ones(60)])
    for estimator, y in (
        (L0Regressor(0), x[:, 0]),
        (L0Regressor(0, fit_intercept=False), x[:, :2]),
        (L0Classifier(0), x[:, 0] > 0),
        (L0Classifier(0), np.arange(60) % 3),
        (L0Cox(0), times),
    ):
        assert len(split_inference(estimator, x, y).to_frame("pyarrow")) == 0


@pytest.mark.parametrize("covariance", ["hc3", "classical"])
def test_an_outcome_that_leaves_no_residual_has_no_p_values(covariance):
    x, y, _ = planted(0, n=80, p=5, noise=1.0)
    none = "`y` is constant or an exact sum of the chosen columns"
    for outcome in (np.full(80, 0.1), np.full(80, 3e5), np.zeros(80), 2 * x[:, 0] - x[:, 1] + 7):
        with pytest.raises(InputError, match=none):
            split_inference(L0Regressor(2), x, outcome, covariance=covariance)
    with pytest.raises(InputError, match=r"`y` \(outcomes 1\) is constant or"):
        split_inference(L0Regressor(2), x, np.column_stack([y, np.ones(80)]), covariance=covariance)
    # Without an intercept a constant is an outcome as any other; so is a level with little noise.
    for estimator, outcome in (
        (L0Regressor(2, fit_intercept=False), np.full(80, 0.1)),
        (L0Regressor(2), 1e6 + 1e-4 * y),
    ):
        found = split_inference(estimator, x, outcome, covariance=covariance)
        assert (found.standard_errors > 0).all()


def test_what_has_no_intervals_is_refused():
    x, y, _ = planted(0, n=60, p=6, noise=1.0)
    with pytest.raises(InputError, match="no intervals for Huber's loss"):
        split_inference(L0Regressor(2, loss="huber"), x, y)
    with pytest.raises(InputError, match="`sample_weight` is no whole number in the rows 0, 1"):
        split_inference(L0Regressor(2), x, y, sample_weight=np.full(60, 1.5))
    with pytest.raises(InputError, match="`covariance` 'hc4' is not known"):
        split_inference(L0Regressor(2), x, y, covariance="hc4")
    with pytest.raises(InputError, match="`covariance` 'hc3' is for least squares; leave it out"):
        split_inference(L0Classifier(2), x, y > 0, covariance="hc3")
    with pytest.raises(InputError, match="`selection_share` must be a number above 0"):
        split_inference(L0Regressor(2), x, y, selection_share=1)
    with pytest.raises(InputError, match="`level` must be a number above 0 and below 1"):
        split_inference(L0Regressor(2), x, y, level=95)
    with pytest.raises(InputError, match="there are 3 held-out rows for 6 coefficients"):
        split_inference(L0Regressor(5), x, y, selection_share=0.95)
    times = np.column_stack([np.exp(y), np.arange(60) % 20 == 0])
    with pytest.raises(InputError, match="too few events for 3 columns"):
        split_inference(L0Cox(3), x, times)
    rare = np.zeros((60, 1))
    first = split_inference(L0Regressor(2), x, y)
    rare[first.selection_rows[:5]] = 1.0
    named = pd.DataFrame(np.column_stack([x, rare]), columns=[*"abcdef", "rare"])
    with pytest.raises(InputError, match=r"in the held-out rows, these columns are .*: 'rare'"):
        split_inference(L0Regressor(2, must_keep=["rare"]), named, y)
