"""Made-up regressions, and what other packages choose of their columns.

`support_recovery.py` imports the first, and runs the second in an environment of its own: names of
methods are the arguments, a list of cells comes in as JSON, and a line of JSON a fit goes out.
"""

from __future__ import annotations

import json
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

Array = Any


class Cell(NamedTuple):
    """A design, drawn anew for each seed."""

    n: int
    p: int
    k: int
    rho: float
    snr: float
    coefficients: str
    seed: int


class Data(NamedTuple):
    """Rows, outcomes, true coefficients, and the variance of the noise."""

    x: Array
    y: Array
    beta: Array
    noise: float


#: The k coefficients, from the first column of them to the last.
COEFFICIENTS: dict[str, Callable[[int, Any], Array]] = {
    "ones": lambda k, generator: np.ones(k),
    "decaying": lambda k, generator: (-0.8) ** np.arange(k),
    "normal": lambda k, generator: generator.normal(size=k),
}


def draw(cell: Cell) -> Data:
    """Rows from N(0, Sigma), Sigma_ij = rho^|i - j|; k coefficients, equally spaced."""
    generator = np.random.default_rng(cell.seed)
    x = generator.normal(size=(cell.n, cell.p))
    for column in range(1, cell.p):
        x[:, column] = cell.rho * x[:, column - 1] + math.sqrt(1 - cell.rho**2) * x[:, column]
    support = np.arange(cell.k) * (cell.p // cell.k)
    beta = np.zeros(cell.p)
    beta[support] = COEFFICIENTS[cell.coefficients](cell.k, generator)
    sigma = cell.rho ** np.abs(np.subtract.outer(support, support))
    noise = float(beta[support] @ sigma @ beta[support] / cell.snr)
    return Data(x, x @ beta + math.sqrt(noise) * generator.normal(size=cell.n), beta, noise)


def abess_known(x: Array, y: Array, k: int) -> Array:
    """The number of columns known."""
    import abess

    return abess.LinearRegression(support_size=[k]).fit(x, y).coef_


def abess_gic(x: Array, y: Array, k: int) -> Array:
    """The number of columns by abess's own criterion (GIC)."""
    import abess

    return abess.LinearRegression(ic_type="gic").fit(x, y).coef_


def mcp_gic(x: Array, y: Array, k: int) -> Array:
    """MCP along 50 penalties, the best of them by GIC."""
    from skglm import MCPRegression

    n, p = x.shape
    weight = math.log(p) * math.log(math.log(n))
    largest = np.abs((x - x.mean(0)).T @ (y - y.mean())).max() / n
    model = MCPRegression(largest, gamma=3.0, warm_start=True)
    best = (math.inf, np.zeros(p))
    for alpha in largest * np.geomspace(1, 0.02, 50):
        model.alpha = alpha
        model.fit(x, y)
        chosen = int(np.count_nonzero(model.coef_))
        if chosen > n // 2:
            break
        left = np.mean((y - model.predict(x)) ** 2)
        best = min(best, (n * math.log(left) + weight * chosen, model.coef_.copy()), key=first)
    return best[1]


def first(pair: tuple[float, Array]) -> float:
    """The criterion alone."""
    return pair[0]


def lasso_cv(x: Array, y: Array, k: int) -> Array:
    """The lasso, its penalty by five folds."""
    from sklearn.linear_model import LassoCV

    return LassoCV(cv=5).fit(x, y).coef_


PEERS: dict[str, Callable[[Array, Array, int], Array]] = {
    "abess, k known": abess_known,
    "abess, GIC": abess_gic,
    "MCP, GIC": mcp_gic,
    "LassoCV": lasso_cv,
}


def fits(cells: list[Cell], methods: dict[str, Callable[..., Array]]) -> Iterator[dict[str, Any]]:
    """Fit every method to every cell."""
    warnings.simplefilter("ignore")
    small = draw(Cell(50, 20, 2, 0.0, 5.0, "ones", 0))
    for fit in methods.values():
        fit(small.x, small.y, 2)  # What is compiled or imported first is not timed.
    for cell in cells:
        data = draw(cell)
        for name, fit in methods.items():
            started = time.process_time()
            beta = np.asarray(fit(data.x, data.y, cell.k)).ravel()
            seconds = time.process_time() - started
            columns = np.flatnonzero(beta).tolist()
            yield {
                "cell": list(cell),
                "method": name,
                "columns": columns,
                "values": beta[columns].tolist(),
                "seconds": seconds,
            }


if __name__ == "__main__":
    asked = {name: PEERS[name] for name in sys.argv[1:]}
    for found in fits([Cell(*cell) for cell in json.load(sys.stdin)], asked):
        print(json.dumps(found))
