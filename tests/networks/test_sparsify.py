"""From a model to a smaller one: budgets held, outputs equal, counts real."""

import pytest
import torch
from torch import nn

from l0.common.errors import InputError
from l0.networks import Macs, Params, Units, load, save, sparsify
from tests.networks.nets import NETS
from tests.networks.training import BUDGETS, make, measured, train


@pytest.mark.parametrize(
    ("budget", "gates"),
    list(zip(BUDGETS, ["hadamard", "hard_concrete"] * 2, strict=True)),
    ids=lambda value: getattr(value, "measure", value),
)
@pytest.mark.parametrize("name", NETS)
def test_the_compact_model_meets_the_budget_and_equals_the_gated_one(name, budget, gates):
    model, inputs = make(name)
    sparsifier = sparsify(model, inputs, budget, gates=gates, total_steps=10)
    train(model, inputs, sparsifier, 5)
    sparsifier.finish()
    small = sparsifier.compact()
    (constraint,) = sparsifier.constraints
    predicted = float(constraint.cost(sparsifier.gates.alive()))
    assert predicted <= constraint.limit
    if budget.measure == "units":
        assert predicted == sum(int(gate.alive.sum()) for gate in sparsifier.gates)
    else:
        assert predicted == measured(small, inputs, budget.measure)
    with torch.no_grad():
        assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)
    kinds = {type(module) for module in make(name)[0].modules()}
    assert {type(module) for module in small.modules()} <= kinds
    assert not any("parametrizations" in key for key in small.state_dict())
    # The gated model can be trained on.
    train(model.train(), inputs, sparsifier, 2)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("gates", ["hadamard", "hard_concrete"])
def test_the_outputs_stay_the_same_at_first(name, gates):
    model, inputs = make(name)
    before = model.eval()(inputs)
    sparsify(model, inputs, Params(0.5), gates=gates)
    assert torch.allclose(before, model(inputs), atol=1e-12)


def test_features_are_selected_before_a_layer():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, Params(0.2), inputs="fc1", total_steps=10)
    train(model, inputs, sparsifier, 5)
    with torch.no_grad():
        sparsifier.gates[-1].gate.v[::3] = 0
    sparsifier.finish()
    small = sparsifier.compact()
    assert isinstance(small.fc1, nn.Sequential)
    assert float(sparsifier.constraints[0].cost(sparsifier.gates.alive())) == measured(
        small, inputs, "params"
    )
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)


def test_budgets_by_layer():
    model, inputs = make("resnet")
    budget = {"3": Params(0.5), "5.conv1": Units(3), "4*": Macs(0.3)}
    sparsifier = sparsify(model, inputs, budget)
    small = sparsifier.compact()
    assert small.get_submodule("5.conv1").out_channels <= 3
    models = (small, make("resnet")[0])
    blocks = [sum(p.numel() for p in m.get_submodule("3").parameters()) for m in models]
    assert blocks[0] <= 0.5 * blocks[1]
    assert torch.allclose(model.eval()(inputs), small.eval()(inputs), atol=1e-10)


@pytest.mark.parametrize("seed", [2**31, 2**62, 2**80])
def test_a_seed_may_be_any_whole_number(seed):
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Params(0.5), gates="hard_concrete", seed=seed)
    train(model, inputs, sparsifier, 2)
    assert sparsifier.steps == 2


@pytest.mark.parametrize("seed", [1.5, "a", -1, None, True])
def test_a_seed_that_is_no_whole_number_leaves_the_model_as_it_is(seed):
    model, inputs = make("mlp")
    before = list(model.state_dict())
    with pytest.raises(InputError, match="`seed` must be an integer of at least 0"):
        sparsify(model, inputs, Params(0.5), seed=seed)
    assert list(model.state_dict()) == before


def test_an_iterator_names_the_same_layers_as_a_list():
    wrong = ["layers.*", "last"]
    model, inputs = make("transformer")
    with pytest.raises(InputError) as of_list:
        sparsify(model, inputs, Params(0.9), include=wrong)
    with pytest.raises(InputError) as of_iterator:
        sparsify(model, inputs, Params(0.9), include=iter(wrong))
    assert str(of_list.value) == str(of_iterator.value)


def test_include_and_exclude():
    model, inputs = make("transformer")
    sparsifier = sparsify(model, inputs, Params(0.9), include="layers.*", exclude="*.attention")
    assert [g.name for g in sparsifier.structure.groups] == ["layers.0.up", "layers.1.up"]
    reasons = {left.name: left.reason for left in sparsifier.structure.left_out}
    a = "layers.0.attention"
    assert reasons[f"{a}.q, {a}.k, {a}.v"] == "`exclude` names them"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 0.5}, "`budget` must be one of Params"),
        ({"budget": {"9": Params(0.5)}}, "'9', which matches no layer"),
        ({"budget": {"0": 0.5}}, r"`budget\['0'\]` must be one of"),
        (
            {"budget": Params(20)},
            "20 parameters of 422, but one unit .* make 23, a share of 0.0545",
        ),
        ({"gates": "hadamar"}, "`gates` is 'hadamar'; closest: 'hadamard'"),
        ({"include": "fc*"}, r"`include` names 'fc\*', which matches no layer"),
        ({"exclude": ["0", "9"]}, "`exclude` names '9'"),
        ({"inputs": "9"}, "`inputs` names '9'"),
        ({"exclude": "*"}, "no unit that can be removed"),
        ({"include": ["0", "4"]}, "`include` names '4', but 4: they reach the model's output"),
        ({"total_steps": 0}, "`total_steps`"),
        ({"example_inputs": torch.ones(2, 3)}, "`example_inputs` do not run"),
    ],
)
def test_bad_input_leaves_the_model_as_it_was(change, message):
    model = NETS["mlp"][0]()
    before = {name: id(p) for name, p in model.named_parameters()}
    arguments = {"example_inputs": torch.randn(2, 12), "budget": Params(0.5)} | change
    with pytest.raises(InputError, match=message):
        sparsify(model, **arguments)
    assert before == {name: id(p) for name, p in model.named_parameters()}
    assert all(type(module) in (nn.Sequential, nn.Linear, nn.ReLU) for module in model.modules())


@pytest.mark.parametrize("amount", [0, -1, float("nan"), float("inf"), True])
def test_bad_amounts(amount):
    with pytest.raises(InputError, match="`budget`"):
        Params(amount)


def test_a_model_gets_gates_once():
    model, inputs = make("mlp")
    sparsify(model, inputs, Params(0.5))
    with pytest.raises(InputError, match="has gates already"):
        sparsify(model, inputs, Params(0.5))


def encoder():
    layer = nn.TransformerEncoderLayer(12, 2, 16, 0.0, batch_first=True)
    return nn.Sequential(nn.Embedding(20, 12), nn.TransformerEncoder(layer, 1), nn.Linear(12, 4))


ON_CPU = {
    "hadamard gates": ("lenet", {"inputs": "fc1"}),
    "hard concrete gates": ("separable", {"gates": "hard_concrete"}),
    "single weights": ("resnet", {"granularity": "weight"}),
    "transformer": ("transformer", {}),
    "encoder": ("encoder", {}),
}


@pytest.mark.parametrize("case", ON_CPU)
def test_the_default_device_of_torch_decides_nothing(case, tmp_path):
    name, options = ON_CPU[case]
    make, inputs = {**NETS, "encoder": (encoder, NETS["transformer"][1])}[name]

    def trained():
        torch.manual_seed(0)
        with torch.device("cpu"):
            model, fresh, x = make(), make(), inputs()
        sparsifier = sparsify(model, x, [Macs(0.5), Params(0.6)], total_steps=8, **options)
        optimizer = torch.optim.SGD(sparsifier.param_groups(lr=1e-3, gate_lr=1.0))
        for _ in range(4):
            (model(x).square().mean() + sparsifier.penalty()).backward()
            optimizer.step()
            optimizer.zero_grad()
            sparsifier.step()
            sparsifier.load_state_dict(sparsifier.state_dict())
        sparsifier.finish()
        small = sparsifier.compact().eval()
        save(small, tmp_path / "small.pt")
        loaded = load(fresh, tmp_path / "small.pt").eval()
        report = sparsifier.report()
        return small(x), loaded(x), str(sparsifier), report.groups, report.layers

    expected = trained()
    with torch.device("meta"):  # the values of new tensors there cannot be read
        found = trained()
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert found[2:] == expected[2:]
