"""Small choices of columns, and what the best of them explains, by counting them all."""

from functools import lru_cache
from itertools import combinations

import numpy as np
from hypothesis import strategies as st

from l0.linear_model.certificate.remainder import Remainder

#: Seeds, columns, rows, ridge and the correlation of neighbours.
DRAWS = st.tuples(
    st.integers(0, 10_000),
    st.integers(2, 9),
    st.sampled_from([8, 30]),
    st.sampled_from([0.0, 1e-3, 0.1]),
    st.sampled_from([0.0, 0.7, 0.95, 0.999]),
)


@lru_cache(maxsize=64)
def products(draw):
    """A, c, the diagonal of Z'Z, and the sum of squares of y, which is 1."""
    seed, p, n, l2, rho = draw
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n, p))
    for column in range(1, p):
        z[:, column] = rho * z[:, column - 1] + np.sqrt(1 - rho**2) * z[:, column]
    z -= z.mean(0)
    z /= np.sqrt((z**2).sum(0))
    y = z @ generator.normal(size=p) * generator.integers(0, 2) + generator.normal(size=n) / 3
    y -= y.mean()
    y /= np.sqrt(y @ y)
    gram = z.T @ z
    return gram + l2 * np.eye(p), z.T @ y, np.diag(gram).copy()


def remainder(draw, k, inside=()):
    """The choices of k columns, of which some are inside."""
    a, c, _ = products(draw)
    free = np.setdiff1d(np.arange(len(c)), inside)
    return Remainder.of(a, c, np.array(inside, np.int64), free, k - len(inside))


@lru_cache(maxsize=4096)
def _explained(draw, columns):
    a, c, _ = products(draw)
    columns = list(columns)
    return float(c[columns] @ np.linalg.lstsq(a[np.ix_(columns, columns)], c[columns])[0])


def explained(draw, columns):
    """What some columns explain."""
    return _explained(draw, tuple(sorted(columns))) if len(columns) else 0.0


def best(draw, k, inside=(), without=()):
    """The most that k columns explain, with some of them and without others."""
    free = [j for j in range(draw[1]) if j not in (*inside, *without)]
    return max(
        (explained(draw, [*inside, *new]) for new in combinations(free, k - len(inside))),
        default=-np.inf,
    )
