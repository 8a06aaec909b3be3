"""How a budget is eased in over the steps of a training."""

from __future__ import annotations

import math

#: The price asks for the budget after this share of the steps.
_ASKED_SHARE = 0.3

#: The budget is met after this share of the steps, so that the other steps can repair the damage.
_MET_SHARE = 0.6

#: In runs of up to so many steps, only units that must go pay a price. In runs of so many steps and
#: more, all units pay the whole price. Ours: LeNet-300-100 with 7% and 3% of its parameters, after
#: 12,000 and 9,000 steps, has errors of 1.81 and 2.22% if all units pay, and else of 2.00 and
#: 2.43%. A residual network on digits with 10% of its multiply-adds, after 1,000 steps, has an
#: error of 2.4% if all pay, and else of 1.5%.
_SHORT, _LONG = 1_000, 2_000

#: In runs of up to so many steps, the gates are multiplied into the weights when the budget is met.
#: In runs of so many steps and more, they keep their values. Ours: LeNet-300-100 with 7% and 3% of
#: its parameters, after 12,000 and 9,000 steps, has errors of 2.1 and 2.6% if they keep them, and
#: else of 2.7 and 3.0%; after the compact model's own training, 1.78 and 2.22%, and else 1.87 and
#: 2.18%. LeNet-5 with 2% and 1%, after 2,300 steps and the compact model's own training, has 0.86
#: and 0.91%, and else 0.86 and 0.85%.
_FOLDED, _LEFT = 3_000, 8_000

#: Without a number of steps: the budget is asked for after this step, and met after that one.
_ASKED, _MET = 150, 300

#: Without a number of steps: the way at a step is in proportion to log(1 + step / _FIRST).
_FIRST = 10

#: The number of looks at the units until the budget is met.
_LOOKS = 50


class Ramp:
    """The way from the full cost to the budget: 0 at the start, 1 at the budget.

    The price of the open units asks for a cost that falls quickly. The units that stay open in any
    case are those of a cost that falls more slowly, so that no unit is closed at a stroke.

    Parameters
    ----------
    total_steps : int, optional
        The number of steps of the training. Without it, the way follows the logarithm of the steps
        so far: however long the training is, its early steps ask for most of the way.

    Attributes
    ----------
    met : int
        The step after which the budget is met.
    others_pay : float
        The share of the price that units pay that need not go yet. Under the same price, all units
        shrink together, until the model costs far less than it should. A long run has the time to
        find out in this way which units are worth their price, and a short one has not.
    left : float
        The power of the gates' values that is left in them when the budget is met, the rest being
        multiplied into the weights: 0 in short runs and 1 in long ones.
    """

    def __init__(self, total_steps: int | None) -> None:
        self._open_ended = total_steps is None
        self.met = _MET if total_steps is None else max(1, round(_MET_SHARE * total_steps))
        self.others_pay = _between(_SHORT, _LONG, total_steps)
        self.left = _between(_FOLDED, _LEFT, total_steps)
        self._asked = _ASKED if total_steps is None else max(1, round(_ASKED_SHARE * total_steps))

    def asked(self, step: int) -> float:
        """Return how much of the way the price asks for at a step."""
        return self._way(step, self._asked)

    def kept(self, step: int) -> float:
        """Return how much of the way the units have gone that stay open at a step."""
        return self._way(step, self.met)

    def pace(self, step: int) -> float:
        """Return the way that one step adds to what is asked, and would add after the end."""
        if self._open_ended:
            return 1 / (math.log1p(self._asked / _FIRST) * (step + _FIRST))
        return 1 / self._asked

    def looks(self, step: int) -> bool:
        """Tell whether the units are chosen anew at a step."""
        every = min(step, self.met) if self._open_ended else self.met
        return step % max(1, every // _LOOKS) == 0

    def _way(self, step: int, end: int) -> float:
        if self._open_ended:
            return min(1.0, math.log1p(step / _FIRST) / math.log1p(end / _FIRST))
        return min(1.0, step / end)


def _between(short: int, long: int, total_steps: int | None) -> float:
    """Return 0 up to one length of a run, 1 from another on, and the share of the way between."""
    if total_steps is None:
        return 0.0
    return min(1.0, max(0.0, math.log(total_steps / short) / math.log(long / short)))
