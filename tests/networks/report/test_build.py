"""What the report counts, and when it warns."""

import pytest
import torch
from torch import nn

from l0.networks import Latency, Macs, Params, sparsify
from l0.networks.report import build
from l0.networks.timing import layer_times
from tests.networks.training import clock_of_entries, make, measured, train


def test_it_counts_what_the_compact_model_has():
    model, inputs = make("resnet")
    sparsifier = sparsify(model, inputs, Macs(0.5), total_steps=20)
    train(model, inputs, sparsifier, 12)
    report = sparsifier.report()
    small = sparsifier.compact()
    assert report.totals["parameters"].after == measured(small, inputs, "params")
    assert report.totals["multiply-adds"].after == measured(small, inputs, "macs")
    assert report.totals["bytes"].after == measured(small, inputs, "bytes")
    assert report.totals["units"].after == sum(row.kept for row in report.groups)
    assert report.totals["milliseconds"].before > 0
    assert report.totals["parameters"].after == sum(row.params.after for row in report.layers)
    for row in report.layers:
        layer = small.get_submodule(row.name)
        assert row.params.after == sum(p.numel() for p in layer.parameters())
    assert report.budgets[0].change.after <= report.budgets[0].limit


def test_it_changes_nothing():
    model, inputs = make("separable")
    sparsifier = sparsify(model, inputs, Params(0.5), gates="hard_concrete")
    model.train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sparsifier.report()
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(module.training for module in model.modules())


def test_warnings_say_what_to_change():
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Params(0.3), total_steps=1000)
    assert "call step()" in sparsifier.report(latency=False).warnings[0]
    train(model, inputs, sparsifier, 450, gate_lr=0.0)
    moved, still_open = sparsifier.report(latency=False).warnings
    assert "have not moved in 250 steps: raise gate_lr" in moved
    assert "still open" in still_open


def test_it_warns_where_running_statistics_lag_behind():
    def warned(name, after):
        model, inputs = make(name)
        sparsifier = sparsify(model, inputs, Params(0.5), total_steps=20)
        train(model, inputs, sparsifier, 12 + after)
        return any("update_bn" in text for text in sparsifier.report(latency=False).warnings)

    assert warned("resnet", after=8)
    assert not warned("resnet", after=100)
    assert not warned("lenet", after=8)


def test_time_is_measured_where_the_model_is_now(monkeypatch):
    model, inputs = make("mlp")
    sparsifier = sparsify(model, {"input": inputs}, Params(0.5))
    timed = []
    monkeypatch.setattr(build, "milliseconds", lambda model, inputs: timed.append(inputs) or 1.0)
    sparsifier.report()
    assert all(given["input"] is inputs for given in timed)
    # Values on "meta" cannot be read, so only one parameter moves there, the first.
    model.register_parameter("anchor", nn.Parameter(torch.empty(1, device="meta")))
    timed.clear()
    sparsifier.report()
    assert [given["input"].device.type for given in timed] == ["meta", "meta"]


@pytest.mark.parametrize(("factor", "warns"), [(1, False), (1.5, True), (0.5, True)])
def test_a_time_that_differs_from_the_counted_one_is_said(factor, warns, monkeypatch):
    monkeypatch.setattr(layer_times, "_timed", clock_of_entries)
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 8))
    sparsifier = sparsify(model, torch.zeros(64, 64), Latency(0.9))
    counted = sparsifier.report(latency=False).budgets[0].change.after
    monkeypatch.setattr(build, "milliseconds", lambda *_: factor * counted / 1000)
    said = any("microseconds, where" in text for text in sparsifier.report().warnings)
    assert said == warns
