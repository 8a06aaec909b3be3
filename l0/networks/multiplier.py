"""The price of a budget: raised while the model costs too much, 0 once it does not."""

from __future__ import annotations

import math

#: Growth over one ramp, where the cost is e times the target. At half of this, networks at a few
#: percent of their size come near their budget, but not to it, by the end of training.
_RATE = 2.0

#: Where gates cannot follow (a learning rate of 0), growth ends before it overflows.
_LARGEST = 1e6


class Multiplier:
    r"""Dual ascent with restarts.

    .. math::
        \lambda \leftarrow \begin{cases}
            \lambda + r \, g \, (1 + \lambda) & g > 0 \\ 0 & g \le 0
        \end{cases}
        \qquad g = \log \frac{\text{cost}}{\text{target}}

    The target is eased in: it falls from the full cost to the budget, by the same factor at each
    step. Growth is linear at first and then exponential, so that losses of any size are reached.

    Parameters
    ----------
    total, limit : int
        The full cost, and the budget.
    ramp : int
        Number of steps over which the target is eased in. The rate r is 2 / ramp.

    Attributes
    ----------
    value : float
        lambda.

    Notes
    -----
    The violation is a ratio of costs, not a difference: a model at 8% of its size is as far from
    a budget of 4% as one at 80% is from 40%.

    References
    ----------
    J. Gallego-Posada et al., "Controlled Sparsity via Constrained Optimization", NeurIPS 2022,
    arXiv:2208.04425, for the dual restarts.
    """

    def __init__(self, total: int, limit: int, ramp: int) -> None:
        self._total = max(total, 1)
        self._depth = math.log(max(1.0, self._total / max(limit, 1)))
        self._ramp = ramp
        self.value = 0.0

    def target(self, step: int) -> float:
        """Return the cost that is asked for at a step."""
        return self._total * math.exp(-self._depth * min(1.0, step / self._ramp))

    def update(self, cost: float, step: int) -> None:
        """Move the multiplier by one step."""
        violation = math.log(max(cost, 1e-9) / self.target(step))
        # The target is a float; a cost that equals the budget meets it.
        if violation <= 1e-9:
            self.value = 0.0
        else:
            grown = self.value + _RATE / self._ramp * violation * (1 + self.value)
            self.value = min(grown, _LARGEST)
