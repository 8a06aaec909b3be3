"""The price of a budget."""

from l0.networks.budgets.multiplier import Multiplier


def test_it_grows_while_the_target_is_exceeded_and_restarts_once_it_is_met():
    multiplier = Multiplier()
    multiplier.update(150, target=200, pace=0.1)
    assert multiplier.value == 0
    values = []
    for _ in range(80):
        multiplier.update(150, target=100, pace=0.1)
        values.append(multiplier.value)
    assert all(a < b for a, b in zip(values, values[1:], strict=False))
    multiplier.update(100, target=100, pace=0.1)
    assert multiplier.value == 0


def test_it_stays_finite():
    multiplier = Multiplier()
    for _ in range(5000):
        multiplier.update(1000, target=1, pace=1.0)
    assert multiplier.value == 1e6
