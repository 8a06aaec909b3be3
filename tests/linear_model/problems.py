"""Made-up regressions, and best subsets by counting them all."""

from itertools import combinations

import numpy as np


def planted(seed, n=60, p=30, k=3, rho=0.5, noise=0.0):
    """Columns like their neighbours, and k of them that make y; X, y and their positions."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    for column in range(1, p):
        x[:, column] = rho * x[:, column - 1] + np.sqrt(1 - rho**2) * x[:, column]
    support = np.sort(generator.permutation(p)[:k])
    y = x[:, support] @ generator.choice([-2.0, -1, 1, 2], k) + noise * generator.normal(size=n)
    return x, y, support


def residual(x, y, columns, l2=0.0):
    """Sum of squares that columns and an intercept leave, with the ridge on them."""
    z = (x - x.mean(0))[:, list(columns)]
    z = np.vstack([z, np.sqrt(l2 * len(x)) * np.diag(x[:, list(columns)].std(0))])
    t = np.concatenate([y - y.mean(), np.zeros(z.shape[1])])
    return float(np.sum((t - z @ np.linalg.lstsq(z, t, rcond=None)[0]) ** 2))


def best(x, y, k, l2=0.0):
    """The least that k columns leave."""
    return min(residual(x, y, columns, l2) for columns in combinations(range(x.shape[1]), k))
