"""The price of a budget: it rises while the model costs too much, else it is 0."""

from __future__ import annotations

import math

#: The growth of log(1 + price) over one ramp while the cost is e times the target. Ours: at half of
#: this rate, networks with budgets of a few percent came near their budget by the end of training,
#: but did not meet it.
_RATE = 2.0

#: The largest price. It keeps the price finite if the gates cannot follow (a learning rate of 0).
_LARGEST = 1e6


class Multiplier:
    r"""A Lagrange multiplier, updated by dual ascent with restarts.

    .. math::
        \lambda \leftarrow \begin{cases}
            \lambda + r \, g \, (1 + \lambda) & g > 0 \\ 0 & g \le 0
        \end{cases}
        \qquad g = \log \frac{\text{cost}}{\text{target}}

    The price grows linearly at first, and exponentially once it is large. So it reaches the scale
    of any loss.

    Attributes
    ----------
    value : float
        The price, lambda.

    Notes
    -----
    The ascent with dual restarts (the price returns to 0 as soon as the constraint holds) is from
    the reference. Three things differ from it, and are ours. The violation g is the logarithm of
    a ratio, not a difference: a model at 8% of its size is as far from a budget of 4% as a model
    at 80% is from a budget of 40%. The growth has the factor 1 + lambda, because the scale of the
    loss is not known. The target is eased in, and the rate r is twice the pace of the ramp. A
    comment in the source says what was measured for the rate.

    References
    ----------
    J. Gallego-Posada et al., "Controlled Sparsity via Constrained Optimization", NeurIPS 2022,
    arXiv:2208.04425.
    """

    def __init__(self) -> None:
        self.value = 0.0

    def update(self, cost: float, target: float, pace: float) -> None:
        """Update the price after a step.

        Parameters
        ----------
        cost : float
            The present cost.
        target : float
            The cost that the model should have now.
        pace : float
            The way from the full cost to the budget that one step adds, as a share.
        """
        violation = math.log(max(cost, 1e-9) / target)
        # The target is a float, and may be a rounding error below a cost that equals the budget.
        if violation <= 1e-9:
            self.value = 0.0
        else:
            grown = self.value + _RATE * pace * violation * (1 + self.value)
            self.value = min(grown, _LARGEST)
