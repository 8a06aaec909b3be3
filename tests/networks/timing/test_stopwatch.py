"""The time of a pass, by a clock that only the model moves."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from l0.networks.timing import stopwatch


class Takes(nn.Module):
    """Takes some seconds at the first call, and others at each later one."""

    def __init__(self, monkeypatch, first, later):
        super().__init__()
        self.seconds, self.now, self.calls, self.states = (first, later), 0.0, 0, set()
        monkeypatch.setattr(stopwatch, "time", SimpleNamespace(perf_counter=lambda: self.now))

    def forward(self, x):
        self.now += self.seconds[min(self.calls, 1)]
        self.calls += 1
        self.states.add((self.training, torch.is_grad_enabled()))
        return x


def test_the_first_pass_does_not_count(monkeypatch):
    model = Takes(monkeypatch, first=0.5, later=0.25)
    assert stopwatch.milliseconds(model, torch.ones(1)) == 250


@pytest.mark.parametrize(("seconds", "calls"), [(0.25, 4), (2**-6, 13), (0.0, 200)])
def test_slow_models_run_a_few_times_and_quick_models_many_times(seconds, calls, monkeypatch):
    model = Takes(monkeypatch, seconds, seconds)
    stopwatch.milliseconds(model, torch.ones(1))
    assert model.calls == calls


@pytest.mark.parametrize("inputs", [torch.ones(1), (torch.ones(1),), {"x": torch.ones(1)}])
def test_passes_run_in_evaluation_mode_and_without_gradients(inputs, monkeypatch):
    model = Takes(monkeypatch, 0.25, 0.25)
    stopwatch.milliseconds(model, inputs)
    assert model.states == {(False, False)}


def test_the_clock_waits_for_the_devices_of_the_model(monkeypatch):
    waited = []
    devices = {torch.device(name) for name in ("cpu", "cuda:1")}
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    stopwatch.synchronize(devices)
    assert waited == [torch.device("cuda:1")]
