"""The training loop: budgets held, runs resumed, ranks in step."""

import copy
import math
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from l0.common.errors import InputError
from l0.common.formatting import amount
from l0.networks import Macs, Params, Units, sparsify
from l0.networks.pruning.closing import Closing
from tests.networks.nets import NETS
from tests.networks.training import make, train


def teacher(n_alive=5, n_dead=7):
    """A network with dead units planted: nothing reads them."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Linear(6, n_alive + n_dead), nn.Tanh(), nn.Linear(n_alive + n_dead, 3))
    dead = torch.randperm(n_alive + n_dead)[:n_dead]
    with torch.no_grad():
        model[2].weight[:, dead] = 0
        model[2].weight[:, model[2].weight.abs().sum(0) > 0] += 0.5
    return model, dead


def test_dead_units_of_a_teacher_are_found():
    model, dead = teacher()
    clean = copy.deepcopy(model)
    x = torch.randn(256, 6)
    sparsifier = sparsify(model, x[:2], Units(5), total_steps=200)
    optimizer = torch.optim.Adam(sparsifier.param_groups(lr=0.0, gate_lr=0.02))
    for _ in range(300):
        loss = F.mse_loss(model(x), clean(x)) + sparsifier.penalty()
        loss.backward()
        optimizer.step()
        sparsifier.step()
        optimizer.zero_grad()
    small = sparsifier.compact()
    (gate,) = sparsifier.gates
    assert sorted((~gate.alive).nonzero().flatten().tolist()) == sorted(dead.tolist())
    assert small[0].out_features == 5
    assert small[0].weight.equal(clean[0].weight[gate.alive])


@pytest.mark.parametrize("budget", [Units(7), Params(220)], ids=lambda budget: budget.measure)
def test_dead_channels_of_a_convolutional_teacher_are_found(budget):
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.Tanh(), nn.Conv2d(6, 7, 3), nn.Tanh(), nn.Flatten(),
        nn.Linear(28, 3),
    )  # fmt: skip
    dead = torch.randperm(6)[:3], torch.randperm(7)[:3]
    with torch.no_grad():
        model[2].weight[:, dead[0]] = 0
        model[5].weight.unflatten(1, (7, 4))[:, dead[1]] = 0
        model[5].weight.mul_(4)
    clean, x = copy.deepcopy(model), torch.randn(32, 2, 6, 6)
    y = clean(x).detach()
    sparsifier = sparsify(model, x[:2], budget, total_steps=800)
    optimizer = torch.optim.Adam(sparsifier.param_groups(lr=0.0, gate_lr=0.02))
    for _ in range(480):  # what is too much is then closed
        (F.mse_loss(model(x), y) + sparsifier.penalty()).backward()
        optimizer.step()
        sparsifier.step()
        optimizer.zero_grad()
    for gate, planted in zip(sparsifier.gates, dead, strict=True):
        assert sorted((~gate.alive).nonzero().flatten().tolist()) == sorted(planted.tolist())
    small = sparsifier.compact()
    assert (small[0].out_channels, small[2].out_channels) == (3, 4)
    assert torch.allclose(small(x), y, atol=0.01)


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_training_meets_the_budget_before_the_end(gates):
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.5), gates=gates, total_steps=100)
    train(model, inputs, sparsifier, 150, gate_lr=0.05)
    (constraint,) = sparsifier.constraints
    open_now = sparsifier.gates.settled() > 0
    assert float(constraint.cost(open_now)) <= 1.1 * constraint.limit
    assert all(
        part.any() for part in open_now.split([g.n_units for g in sparsifier.structure.groups])
    )


def test_after_three_fifths_of_the_steps_the_budget_is_met_however_slow_the_gates():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=10)
    (constraint,) = sparsifier.constraints
    train(model, inputs, sparsifier, 5, gate_lr=0.0)
    assert float(constraint.cost(sparsifier.gates.alive())) > constraint.limit
    train(model, inputs, sparsifier, 1, gate_lr=0.0)
    before = sparsifier.gates.alive()
    assert float(constraint.cost(before)) <= constraint.limit
    train(model, inputs, sparsifier, 4)
    assert not sparsifier.penalty()
    small = sparsifier.compact()
    assert torch.equal(before, sparsifier.gates.alive())
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-12)


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
@pytest.mark.parametrize("share", [0.2, 0.5])
@pytest.mark.parametrize("steps", [4, 40])
@pytest.mark.parametrize("name", ["mlp", "resnet", "transformer"])
def test_a_training_of_any_length_uses_its_budget(name, steps, share, gates):
    model, inputs = make(name)
    budget = Params(share if name == "mlp" else 0.5 + share / 2)
    sparsifier = sparsify(model, inputs, budget, gates=gates, total_steps=steps)
    train(model, inputs, sparsifier, steps, gate_lr=0.3)  # so large that gates overshoot
    (constraint,) = sparsifier.constraints
    alive = sparsifier.gates.alive()
    cost = float(constraint.cost(alive))
    assert cost <= constraint.limit < constraint.cost.total
    for unit in (~alive).nonzero().flatten():
        more = alive.clone()
        more[unit] = True
        assert float(constraint.cost(more)) > constraint.limit
    small = sparsifier.compact()
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)


def test_only_units_that_must_go_pay_a_price():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=100)
    train(model, inputs, sparsifier, 10, gate_lr=0.0)
    prices = torch.cat(torch.autograd.grad(sparsifier.penalty(), sparsifier.gates.parameters()))
    assert (prices > 0).any()
    assert not prices[sparsifier.planned()].any()


def test_units_come_back_after_an_overshoot():
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Units(13), total_steps=100)
    train(model, inputs, sparsifier, 58, gate_lr=0.0)
    closed = ~sparsifier.gates.alive()
    with torch.no_grad():  # the open units lose their worth all at once
        for gate in sparsifier.gates:
            gate.gate.v[gate.alive] = 0.01
    sparsifier.finish()
    alive = sparsifier.gates.alive()
    assert int(alive.sum()) == 13
    assert (alive & closed).any()


def test_gates_are_folded_into_the_weights_once_the_budget_is_met():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=10)
    train(model, inputs, sparsifier, 5, gate_lr=0.1)
    planned = sparsifier.planned()
    sparsifier.gates.keep(planned)
    before = model.eval()(inputs)
    sparsifier.finish()
    assert torch.equal(sparsifier.gates.alive(), planned)
    assert torch.allclose(before, model(inputs), atol=1e-10)
    ones = torch.cat([gate.alive.double() for gate in sparsifier.gates])
    assert torch.equal(sparsifier.gates.settled(), ones)
    train(model.train(), inputs, sparsifier, 5, gate_lr=0.1)
    assert torch.equal(sparsifier.gates.settled(), ones)


@pytest.mark.parametrize("steps", [4000, 10_000])
def test_long_runs_leave_values_in_the_gates_once_the_budget_is_met(steps):
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=steps)
    with torch.no_grad():
        for gate in sparsifier.gates:
            gate.gate.v.copy_(torch.linspace(0.3, 1.2, len(gate.alive)))
    sparsifier.gates.keep(sparsifier.planned())
    z, alive = sparsifier.gates.settled(), sparsifier.gates.alive()
    before = model.eval()(inputs)
    sparsifier.finish()
    assert torch.allclose(before, model(inputs), atol=1e-10)
    power = min(1, math.log(steps / 3000) / math.log(8 / 3))
    left = sparsifier.gates.settled()
    assert torch.allclose(left, z.clamp_min(0.1) ** power * alive)
    assert torch.equal(left > 0, alive)
    train(model.train(), inputs, sparsifier, 5, gate_lr=0.1)
    assert torch.equal(sparsifier.gates.settled(), left)
    assert torch.allclose(model.eval()(inputs), sparsifier.compact().eval()(inputs), atol=1e-10)


def test_compact_warns_of_what_it_closes_at_a_stroke():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.3))
    train(model, inputs, sparsifier, 20)
    assert float(sparsifier.constraints[0].cost(sparsifier.gates.alive())) < 2044
    with pytest.warns(UserWarning, match="open units of .* at a stroke after 20 steps.*300 steps"):
        sparsifier.compact()
    sparsifier.compact()  # nothing is left to close


def test_closed_units_stay_closed():
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=20)
    sparsifier.finish()
    before = sparsifier.gates.alive()
    train(model, inputs, sparsifier, 10)
    assert torch.equal(before, sparsifier.gates.alive())
    assert not sparsifier.gates.settled()[~before].any()
    small = sparsifier.compact()
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-12)


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_a_resumed_run_is_the_unbroken_run(gates, tmp_path):
    def start():
        model, inputs = make("lenet")
        sparsifier = sparsify(model, inputs, Params(0.3), gates=gates, total_steps=20)
        optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3, gate_lr=0.05))
        return model, inputs, sparsifier, optimizer

    def go(model, inputs, sparsifier, optimizer, steps):
        for _ in range(steps):
            loss = model(inputs).square().mean() + sparsifier.penalty()
            loss.backward()
            optimizer.step()
            sparsifier.step()
            optimizer.zero_grad()
        return model.state_dict()

    run = start()
    go(*run, 10)
    parts = (run[0], run[2], run[3])
    torch.save([part.state_dict() for part in parts], tmp_path / "run.pt")
    expected = go(*run, 10)
    model, inputs, sparsifier, optimizer = start()
    states = torch.load(tmp_path / "run.pt", weights_only=True)
    for part, state in zip((model, sparsifier, optimizer), states, strict=True):
        part.load_state_dict(state)
    found = go(model, inputs, sparsifier, optimizer, 10)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert sparsifier.history == run[2].history
    other, inputs = make("mlp")
    with pytest.raises(InputError, match="`state` belongs to another model"):
        sparsify(other, inputs, Params(0.5)).load_state_dict(states[1])


def test_a_resumed_run_knows_how_long_the_gates_have_not_moved():
    def start():
        model, inputs = make("mlp")
        return model, inputs, sparsify(model, inputs, Params(0.3), total_steps=2000)

    def warned(run):
        return [text for text in run[2].report(latency=False).warnings if "not moved" in text]

    run = start()
    train(*run, 50, gate_lr=0.05)  # the gates move, and then they do not
    train(*run, 390, gate_lr=0.0)
    states = run[0].state_dict(), run[2].state_dict()
    resumed = start()
    resumed[2].load_state_dict(states[1])
    assert warned(run) == warned(resumed)
    assert "have not moved in 240 steps" in warned(resumed)[0]


def test_a_state_of_other_budgets_or_gates_is_refused():
    model, inputs = make("mlp")
    state = sparsify(model, inputs, Params(0.5)).state_dict()
    for budget, options, message in (
        (Params(0.2), {}, r"Params\(0.5\) of all layers in place of Params\(0.2\)"),
        (Units(3), {}, "in place of Units"),
        ({"0": Params(0.5)}, {}, "of all layers in place of .* of 0"),
        ([Params(0.5), Units(9)], {}, "in place of"),
        (Params(0.5), {"gates": "hard_concrete"}, "gates of .* in place of"),
        (Params(0.9), {"exclude": "0"}, "gates of .* in place of nothing"),
    ):
        other = sparsify(make("mlp")[0], inputs, budget, **options)
        before = other.state_dict()
        with pytest.raises(InputError, match=f"`state` belongs to another model.*{message}"):
            other.load_state_dict(state)
        after = other.state_dict()["gates"]
        for one, two in zip(before["gates"], after, strict=True):
            assert all(torch.equal(one[key], two[key]) for key in one)
    for wrong in ({}, {"gates": []}, [state]):
        with pytest.raises(InputError, match="`state` is no state of a sparsifier"):
            other.load_state_dict(wrong)


@pytest.mark.parametrize("averaged", [False, True], ids=["earlier", "averaged"])
@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_another_state_of_the_model_still_meets_the_budget(gates, averaged):
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Params(0.3), gates=gates, total_steps=20)
    kept = copy.deepcopy(model.state_dict())
    for step in range(20):
        train(model, inputs, sparsifier, 1)
        if step < 8 or averaged:
            for key, value in model.state_dict().items():
                kept[key].copy_(0.5 * kept[key] + 0.5 * value if averaged else value)
    model.load_state_dict(kept)
    (constraint,) = sparsifier.constraints
    assert float(constraint.cost(sparsifier.gates.alive())) > constraint.limit
    assert sparsifier.report(latency=False).budgets[0].change.after <= constraint.limit
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is closed at a stroke
        small = sparsifier.compact()
    assert sum(p.numel() for p in small.parameters()) <= constraint.limit
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)


class Heads(nn.Module):
    """Three layers read one, and each selects some of its features."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(6, 8)
        self.heads = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))

    def forward(self, x):
        hidden = self.stem(x).relu()
        return tuple(head(hidden) for head in self.heads)


@pytest.mark.parametrize("budget", [Units(4), Units(5), Params(30), Macs(20)])
def test_layers_that_select_features_meet_the_smallest_budgets(budget):
    for seed in range(10):
        torch.manual_seed(seed)
        sparsifier = sparsify(Heads(), torch.randn(2, 6), budget, inputs="heads.*")
        sparsifier.compact()
        (constraint,) = sparsifier.constraints
        assert float(constraint.cost(sparsifier.gates.alive())) <= constraint.limit


def test_a_budget_that_is_missed_is_said(monkeypatch):
    # Layers that each protect a unit of their own cannot meet the smallest budget.
    alone = "l0.networks.sparsifier.Closing"
    monkeypatch.setattr(alone, lambda model, groups, in_common=False: Closing(model, groups))
    torch.manual_seed(0)
    sparsifier = sparsify(Heads(), torch.randn(2, 6), Units(4), inputs="heads.*")
    (said,) = (text for text in sparsifier.report(latency=False).warnings if "miss" in text)
    assert "will miss the budget of 4 units" in said
    with pytest.warns(UserWarning, match=r"\d units are left, and the budget .* at most 4"):
        sparsifier.compact()


def test_after_a_missed_budget_there_is_no_price_and_no_advice_for_the_gates(monkeypatch):
    alone = "l0.networks.sparsifier.Closing"
    monkeypatch.setattr(alone, lambda model, groups, in_common=False: Closing(model, groups))
    torch.manual_seed(0)
    sparsifier = sparsify(Heads(), torch.randn(2, 6), Units(4), inputs="heads.*", total_steps=10)
    with pytest.warns(UserWarning, match="units are left"):
        for _ in range(500):
            sparsifier.step()
    report = sparsifier.report(latency=False)
    assert [row.multiplier for row in report.budgets] == [0]
    assert any("will miss the budget" in text for text in report.warnings)
    assert not any("gate_lr" in text for text in report.warnings)


@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_the_penalty_may_be_asked_for_several_times_in_a_step(gates):
    def gradients(times):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))
        sparsifier = sparsify(model, torch.zeros(2, 6), Units(2), gates=gates, total_steps=100)
        for _ in range(30):
            sparsifier.step()
        loss = sum(sparsifier.penalty() / times for _ in range(times))
        assert loss.item() > 0
        loss.backward()
        (parameter,) = sparsifier.gates.parameters()
        return parameter.grad

    assert torch.allclose(gradients(1), gradients(4))


def test_gates_and_compact_models_that_are_made_in_inference_mode_can_be_trained():
    model, x = make("mlp")
    with torch.inference_mode():
        sparsifier = sparsify(model, x, Params(0.5), total_steps=10)
    train(model, x, sparsifier, 10)
    with torch.inference_mode():
        small = sparsifier.compact()
    small(x).sum().backward()
    assert all(p.grad is not None for p in small.parameters())
    with torch.inference_mode():  # a model that is made there can be made smaller there
        made, _ = make("mlp")
        assert sparsify(made, x, Params(0.5)).compact()(x).isfinite().all()


def test_noise_is_drawn_once_a_step_and_leaves_the_global_generator_alone():
    model, inputs = make("transformer")
    torch.manual_seed(0)
    sparsifier = sparsify(model, inputs, Params(0.5), gates="hard_concrete", start_open=False)
    model.train()
    first = model(inputs)
    assert torch.equal(first, model(inputs))
    sparsifier.step()
    assert not torch.equal(first, model(inputs))
    state = torch.get_rng_state()
    torch.manual_seed(0)
    assert torch.equal(state, torch.get_rng_state())


def test_gradient_accumulation_and_mixed_precision():
    model, inputs = (make() for make in NETS["lenet"])
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=20)
    optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3, gate_lr=0.05))
    for _ in range(12):
        for part in inputs.split(1):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = model(part).float().square().mean()
            ((loss + sparsifier.penalty()) / 3).backward()
        assert all(p.grad is not None for p in model.parameters())
        optimizer.step()
        sparsifier.step()
        optimizer.zero_grad()
    small = sparsifier.compact()
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-5)


def test_parameter_groups_cover_the_model_once():
    model, inputs = make("resnet")
    sparsifier = sparsify(model, inputs, Params(0.5))
    own, gates = sparsifier.param_groups(lr=1e-3, weight_decay=0.1)
    ids = [id(p) for group in (own, gates) for p in group["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters())
    assert (own["weight_decay"], gates["weight_decay"]) == (0.1, 0.0)
    assert gates["lr"] > own["lr"]
    assert len(gates["params"]) == len(sparsifier.gates)
    gate_keys = [key for key in model.state_dict() if key.endswith("gate.v")]
    assert len(gate_keys) == len(sparsifier.gates)


def _rank(rank, folder):
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2
    )
    for gates in ("hadamard", "hard_concrete"):
        model, inputs = make("lenet")
        sparsifier = sparsify(model, inputs, Params(0.4), gates=gates, total_steps=10)
        parallel = nn.parallel.DistributedDataParallel(model)
        optimizer = torch.optim.Adam(sparsifier.param_groups(lr=1e-3, gate_lr=0.05))
        for _ in range(5):  # one less than after which the budget is met
            loss = (parallel(inputs + rank) - rank).square().mean() + sparsifier.penalty()
            noise = getattr(sparsifier.gates[0], "noise", torch.zeros(1))  # what the pass used
            loss.backward()
            optimizer.step()
            sparsifier.step()
            optimizer.zero_grad()
        multipliers = [multiplier.value for multiplier in sparsifier.multipliers]
        torch.save((model.state_dict(), multipliers, noise), f"{folder}/{gates}{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_keep_the_same_gates_and_multiplier(tmp_path):
    torch.multiprocessing.spawn(_rank, (str(tmp_path),), nprocs=2)
    for gates in ("hadamard", "hard_concrete"):
        (a, a_multipliers, a_noise), (b, b_multipliers, b_noise) = (
            torch.load(tmp_path / f"{gates}{rank}.pt") for rank in (0, 1)
        )
        assert all(torch.equal(a[key], b[key]) for key in a)
        assert a_multipliers == b_multipliers
        assert a_multipliers[0] > 0
        assert torch.equal(a_noise, b_noise) == (gates == "hadamard")


def test_it_prints_budgets_units_layers_steps_and_prices():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, {"conv2": Units(4), "fc1": Params(0.5)}, total_steps=10)
    lines = str(sparsifier).splitlines()
    assert repr(sparsifier) == str(sparsifier)
    assert lines == [
        "Sparsifier of LeNet after 0 steps",
        "  budget: at most 4 units of conv2 of 8, now 8 at the price 0",
        "  budget: at most 730 parameters of fc1 of 1,460, now 1,460 at the price 0",
        "  units: 34 of 34 open, in 3 groups on 4 layers",
        "  no gates on: fc2",
    ]
    sparsifier.step()
    assert str(sparsifier).startswith("Sparsifier of LeNet after 1 step\n")
    prices = [price.value for price in sparsifier.multipliers]
    assert all(prices)
    for line, price in zip(str(sparsifier).splitlines()[1:], prices, strict=False):
        assert line.endswith(f"at the price {amount(price)}")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    sparsifier.finish()
    kept = int(sparsifier.gates.alive().sum())
    assert f"units: {kept} of 34 open" in str(sparsifier)
    changed = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
    assert all(key.endswith(("alive", "constant", "original")) for key in changed)
    other, inputs = make("transformer")
    assert "no gates on: " in str(sparsify(other, inputs, Params(0.9)))


def test_printing_names_three_of_many_layers_without_gates():
    model, inputs = make("transformer")
    sparsifier = sparsify(model, inputs, Params(0.9), exclude="layers.*.*.*")
    left_out = [left.name for left in sparsifier.structure.left_out]
    assert len(left_out) > 3
    last = str(sparsifier).splitlines()[-1]
    assert last == f"  no gates on: {'; '.join(left_out[:3])} and {len(left_out) - 3} more"
