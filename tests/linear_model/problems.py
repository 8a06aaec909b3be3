"""Made-up regressions, and best subsets by counting them all."""

from functools import partial
from itertools import combinations

import numpy as np
from scipy.optimize import nnls

from l0.linear_model.cox_loss import CoxLoss
from l0.linear_model.design import standardised_design
from l0.linear_model.group_swap import Groups
from l0.linear_model.logistic_loss import LogisticLoss
from l0.linear_model.losses import HuberLoss, PoissonLoss
from l0.linear_model.problem import Problem
from l0.linear_model.statistics import Statistics


def planted(seed, n=60, p=30, k=3, rho=0.5, noise=0.0):
    """Columns like their neighbours, and k of them that make y; X, y and their positions."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    for column in range(1, p):
        x[:, column] = rho * x[:, column - 1] + np.sqrt(1 - rho**2) * x[:, column]
    support = np.sort(generator.permutation(p)[:k])
    y = x[:, support] @ generator.choice([-2.0, -1, 1, 2], k) + noise * generator.normal(size=n)
    return x, y, support


def classes(seed, n=150, p=12, k=3, n_classes=2, noise=0.5):
    """Columns that make two or more classes; X, the labels, and the positions of those columns."""
    x, score, support = planted(seed, n=n, p=p, k=k, noise=noise)
    if n_classes == 2:
        return x, np.where(score > 0, "yes", "no"), support
    generator = np.random.default_rng(seed)
    scores = x[:, support] @ generator.normal(0, 2, (k, n_classes))
    return x, (scores + noise * generator.gumbel(size=scores.shape)).argmax(1), support


#: Outcomes whose losses have no closed form.
LOSSES = ("two classes", "three classes", "counts", "outliers", "survival")


def outcomes(seed, kind, n=150, p=12, k=3):
    """Columns, an outcome of one kind of loss, and the loss on rows."""
    if "classes" in kind:
        x, y, _ = classes(seed, n, p, k, 2 if kind == "two classes" else 3, noise=2.0)
        labels, codes = np.unique(y, return_inverse=True)
        return x, codes, partial(LogisticLoss, labels=labels)
    x, score, _ = planted(seed, n=n, p=p, k=k)
    generator = np.random.default_rng(seed)
    score = score / 3
    if kind == "counts":
        return x, generator.poisson(np.exp(score + 1)).astype(float), PoissonLoss
    if kind == "outliers":
        y = score + 0.3 * generator.standard_t(3, size=n)
        y[generator.permutation(n)[: n // 20]] += 20
        return x, y, HuberLoss
    # Times in steps of .1, so that some are equal.
    time = np.ceil(10 * generator.exponential(np.exp(-score))) / 10
    censored = np.ceil(10 * generator.exponential(2, size=n)) / 10
    return x, np.column_stack([np.minimum(time, censored), time <= censored]), CoxLoss


def residual(x, y, columns, l2=0.0):
    """Sum of squares that columns and an intercept leave, with the ridge on them."""
    z = (x - x.mean(0))[:, list(columns)]
    z = np.vstack([z, np.sqrt(l2 * len(x)) * np.diag(x[:, list(columns)].std(0))])
    t = np.concatenate([y - y.mean(), np.zeros(z.shape[1])])
    return float(np.sum((t - z @ np.linalg.lstsq(z, t, rcond=None)[0]) ** 2))


def best(x, y, k, l2=0.0):
    """The least that k columns leave."""
    return min(residual(x, y, columns, l2) for columns in combinations(range(x.shape[1]), k))


#: Members of the groups in `stated`.
GROUPS = [np.array(members) for members in ([0], [1, 2], [3], [4, 5, 6], [7, 8])]


def stated(seed, kind="columns", l2=0.0, n=40, p=9, n_outcomes=1, kept=()):
    """A problem of one kind of unit, and its standardised columns and outcomes."""
    x, y, _ = planted(seed, n=n, p=p, noise=2.0)
    design = standardised_design(x, np.ones(n), centre=True).design
    more = np.random.default_rng(seed).normal(size=(n, n_outcomes - 1))
    outcome = np.column_stack([y, more])
    outcome = (outcome - outcome.mean(axis=0)) / np.sqrt(n)
    statistics = Statistics.of(design, outcome, l2)
    groups = Groups.of(GROUPS, statistics) if kind == "groups" else None
    bounds = np.tile([0.0, np.inf], (p, 1)) if kind == "nonnegative" else None
    problem = Problem(statistics, groups, np.array(kept, np.int64), bounds)
    return problem, design.columns(np.arange(p)), outcome


def explained(z, outcome, columns, l2=0.0, nonnegative=False):
    """By how much a fit on some columns lowers the sum of squares, ridge penalty included."""
    columns = list(columns)
    left = np.vstack([z[:, columns], np.sqrt(l2) * np.eye(len(columns))])
    right = np.vstack([outcome, np.zeros((len(columns), outcome.shape[1]))])
    if nonnegative:
        slopes = nnls(left, right[:, 0])[0][:, None] if columns else np.zeros((0, 1))
    else:
        slopes = np.linalg.lstsq(left, right, rcond=None)[0]
    return float(np.sum(outcome**2) - np.sum((right - left @ slopes) ** 2))


def swapped(chosen, out, new):
    """The chosen units with another one at a place."""
    return [*chosen[:out], new, *chosen[out + 1 :]]


def sparse_matrix(seed=0, n=50, p=12, dtype=np.float64):
    """Columns with many zeros, of which one is all zeros and one constant; weights."""
    generator = np.random.default_rng(seed)
    x = generator.normal(3, 2, size=(n, p)) * (generator.random((n, p)) < 0.4)
    x[:, 4] = 0.0
    x[:, 5] = 7.1
    return x.astype(dtype), generator.integers(1, 4, n).astype(float)
