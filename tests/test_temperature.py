import inspect
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from l0.hard_concrete import HardConcrete
from l0.layers import L0Linear, SparseMLP
from l0.temperature import SCHEDULES, TemperatureScheduler, update_temperatures

TEMPERATURES = st.floats(0.01, 10)
EPOCHS = st.integers(1, 300)
NAMES = st.sampled_from(sorted(SCHEDULES))


def test_signature_of_0_6():
    parameters = inspect.signature(TemperatureScheduler).parameters
    assert {name: p.default for name, p in parameters.items()} == {
        "initial_temp": 2.0,
        "final_temp": 0.1,
        "anneal_epochs": 100,
        "schedule": "exponential",
        "total_epochs": None,
    }
    assert parameters["total_epochs"].kind is inspect.Parameter.KEYWORD_ONLY


def test_there_are_the_schedules_of_0_6():
    assert set(SCHEDULES) == {"exponential", "linear", "cosine"}


@given(TEMPERATURES, TEMPERATURES, EPOCHS, NAMES)
@settings(deadline=None)
def test_endpoints(start, end, epochs, schedule):
    scheduler = TemperatureScheduler(start, end, epochs, schedule)
    assert scheduler.get_temperature(0) == pytest.approx(start)
    for late in (epochs, epochs + 1, 10 * epochs):
        assert scheduler.get_temperature(late) == end
    # No jump where the formula hands over to the constant.
    assert scheduler.get_temperature(epochs * (1 - 1e-9)) == pytest.approx(end, rel=1e-5)


@given(TEMPERATURES, TEMPERATURES, EPOCHS, NAMES)
@settings(deadline=None)
def test_monotone(start, end, epochs, schedule):
    scheduler = TemperatureScheduler(start, end, epochs, schedule)
    values = [scheduler.get_temperature(epoch) for epoch in range(epochs + 1)]
    direction = 1 if end >= start else -1
    slack = 1e-12 * max(start, end)
    assert all(direction * (b - a) >= -slack for a, b in zip(values[:-1], values[1:], strict=True))


@given(TEMPERATURES, TEMPERATURES, EPOCHS, st.floats(0, 1))
@settings(deadline=None)
def test_closed_forms(start, end, epochs, t):
    def at(schedule, t):
        return TemperatureScheduler(start, end, epochs, schedule).get_temperature(t * epochs)

    assert at("exponential", t) == pytest.approx(start * (end / start) ** t)
    assert at("linear", t) == pytest.approx(start + t * (end - start))
    middle, half = (start + end) / 2, (start - end) / 2
    assert at("cosine", t) == pytest.approx(middle + half * math.cos(math.pi * t))


def test_equal_factors_and_equal_steps():
    scheduler = TemperatureScheduler(8, 0.5, 4)
    assert [scheduler.get_temperature(e) for e in range(5)] == pytest.approx([8, 4, 2, 1, 0.5])
    scheduler = TemperatureScheduler(2, 1, 4, "linear")
    assert [scheduler.get_temperature(e) for e in range(5)] == pytest.approx(
        [2, 1.75, 1.5, 1.25, 1]
    )


def test_total_epochs_is_another_name():
    one, other = TemperatureScheduler(anneal_epochs=7), TemperatureScheduler(total_epochs=7)
    assert other.anneal_epochs == 7
    assert [one.get_temperature(e) for e in range(9)] == [
        other.get_temperature(e) for e in range(9)
    ]
    with pytest.raises(ValueError, match="`anneal_epochs` is 7 and `total_epochs` 8"):
        TemperatureScheduler(anneal_epochs=7, total_epochs=8)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"schedule": "linaer"}, "`schedule` is 'linaer'; closest: 'linear'"),
        ({"initial_temp": 0}, "`initial_temp` must be positive and finite, got 0"),
        ({"initial_temp": math.nan}, "`initial_temp` must be positive"),
        ({"final_temp": -0.1}, "`final_temp` must be positive and finite, got -0.1"),
        ({"final_temp": math.inf}, "`final_temp` must be positive"),
        ({"anneal_epochs": 0}, "`anneal_epochs` must be finite and at least 1, got 0"),
        ({"anneal_epochs": math.nan}, "`anneal_epochs` must be finite"),
        ({"total_epochs": 0}, "`total_epochs` must be finite and at least 1, got 0"),
        ({"total_epochs": math.inf}, "`total_epochs` must be finite"),
    ],
)
def test_bad_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        TemperatureScheduler(**kwargs)


@pytest.mark.parametrize("epoch", [-1, -1e-9, math.nan, math.inf])
def test_bad_epochs_are_refused(epoch):
    with pytest.raises(ValueError, match="`epoch` must be finite and at least 0"):
        TemperatureScheduler().get_temperature(epoch)


# Models


def temperatures(model):
    return [m.temperature for m in model.modules() if isinstance(m, HardConcrete)]


def test_every_gate_of_a_model_is_set():
    class Nested(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = HardConcrete(3)
            self.parts = nn.ModuleDict(
                {"a": nn.Sequential(L0Linear(2, 2)), "b": SparseMLP(4, 3, 2)}
            )

    model = Nested()
    update_temperatures(model, 0.25)
    assert temperatures(model) == [0.25] * 5
    update_temperatures(model.own, 1)
    assert temperatures(model) == [1.0] + [0.25] * 4


def test_what_has_a_temperature_of_another_kind_keeps_it():
    class Softmax(nn.Module):
        temperature = 3.0
        beta = 2.0

    model = nn.Sequential(Softmax(), HardConcrete(2))
    update_temperatures(model, 0.3)
    assert (model[0].temperature, model[0].beta, model[1].temperature) == (3.0, 2.0, 0.3)


@pytest.mark.parametrize("bad", [0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("model", [SparseMLP(4, 3, 2), nn.Linear(2, 2)])
def test_a_bad_temperature_changes_nothing(model, bad):
    before = temperatures(model)
    with pytest.raises(ValueError, match="`temperature` must be positive and finite"):
        update_temperatures(model, bad)
    assert temperatures(model) == before


def test_a_schedule_cools_a_model_down():
    model, scheduler = SparseMLP(4, 3, 2), TemperatureScheduler(1.0, 0.1, total_epochs=10)
    seen = []
    for epoch in range(12):
        update_temperatures(model, scheduler.get_temperature(epoch))
        seen.append(temperatures(model)[0])
    assert seen == sorted(seen, reverse=True)
    assert temperatures(model) == [0.1] * 3
