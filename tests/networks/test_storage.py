"""Compact models go out: to disk, to torch.export, to ONNX."""

import copy
import io

import numpy as np
import pytest
import torch

from l0.common.errors import InputError
from l0.networks import Params, Units, load, save, sparsify
from tests.networks.nets import NETS


def small_one(name, **options):
    torch.manual_seed(4)
    model, inputs = (make() for make in NETS[name])
    small = sparsify(model, inputs, Params(0.5), **options).compact().eval()
    return small, inputs


@pytest.mark.parametrize("name", NETS)
def test_a_saved_model_loads_into_a_fresh_one(name, tmp_path):
    small, inputs = small_one(name)
    save(small, tmp_path / "small.pt")
    loaded = load(NETS[name][0](), tmp_path / "small.pt").eval()
    assert torch.equal(small(inputs), loaded(inputs))
    assert str(small) == str(loaded)
    loaded.train()(inputs).sum().backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in loaded.parameters())


def test_selected_features_are_saved_too(tmp_path):
    small, inputs = small_one("lenet", inputs="fc1")
    save(small, tmp_path / "small.pt")
    loaded = load(NETS["lenet"][0](), tmp_path / "small.pt").eval()
    assert torch.equal(small(inputs), loaded(inputs))


class Aliased(torch.nn.Module):
    """A layer with two names."""

    def __init__(self):
        super().__init__()
        self.layer, self.last = torch.nn.Linear(5, 8), torch.nn.Linear(8, 2)
        self.layers = torch.nn.ModuleList([self.layer, torch.nn.ReLU()])

    def forward(self, x):
        return self.last(self.layers[1](self.layers[0](x)))


def test_a_layer_with_two_names_stays_one_layer(tmp_path):
    x = torch.randn(3, 5)
    small = sparsify(Aliased(), x, Params(0.5)).compact()
    save(small, tmp_path / "small.pt")
    loaded = load(Aliased(), tmp_path / "small.pt")
    assert loaded.layer is loaded.layers[0]
    assert torch.equal(small(x), loaded(x))


class WithMask(torch.nn.Module):
    """Has a number for each channel that is no part of its state."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(5, 8), torch.nn.Linear(8, 2)
        self.register_buffer("scale", torch.arange(1.0, 9.0), persistent=False)

    def forward(self, x):
        return self.b(self.a(x).relu() * self.scale)


def test_buffers_that_are_no_part_of_the_state_are_saved_where_they_were_cut(tmp_path):
    x = torch.randn(3, 5)
    small = sparsify(WithMask(), x, Units(5)).compact()
    save(small, tmp_path / "small.pt")
    loaded = load(WithMask(), tmp_path / "small.pt")
    assert torch.equal(small(x), loaded(x))
    assert loaded.state_dict().keys() == WithMask().state_dict().keys()


@pytest.mark.parametrize("name", NETS)
def test_parameters_keep_their_order(name, tmp_path):
    small, _ = small_one(name)
    save(small, tmp_path / "small.pt")
    loaded = load(NETS[name][0](), tmp_path / "small.pt")
    order = [(key, p.shape) for key, p in small.named_parameters()]
    assert order == [(key, p.shape) for key, p in loaded.named_parameters()]


def test_another_architecture_is_refused(tmp_path):
    small, _ = small_one("mlp")
    save(small, tmp_path / "small.pt")
    with pytest.raises(InputError, match="architecture that was sparsified"):
        load(NETS["lenet"][0](), tmp_path / "small.pt")


class WithAttention(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention, self.last = torch.nn.MultiheadAttention(8, 2), torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.last(self.attention(x, x, x, need_weights=False)[0])


def test_a_model_is_unchanged_where_a_file_is_refused(tmp_path):
    small, _ = small_one("mlp")
    save(small, tmp_path / "small.pt")
    model = WithAttention()
    before = str(model)
    with pytest.raises(InputError, match="architecture that was sparsified"):
        load(model, tmp_path / "small.pt")
    assert str(model) == before


class Counting(torch.nn.Linear):
    """Keeps a number in its state, beside its tensors."""

    calls = 3

    def get_extra_state(self):
        return self.calls

    def set_extra_state(self, state):
        self.calls = state


def test_what_a_layer_adds_to_its_state_comes_back(tmp_path):
    def network():
        return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), Counting(8, 2))

    model = network()
    small = sparsify(model, torch.zeros(2, 6), Units(4)).compact()
    small[2].calls = 7
    save(small, tmp_path / "small.pt")
    loaded = load(network(), tmp_path / "small.pt")
    assert (loaded[2].calls, loaded[2].in_features) == (7, 4)
    assert torch.equal(loaded(torch.ones(1, 6)), small(torch.ones(1, 6)))


def test_features_may_be_selected_twice(tmp_path):
    def network():
        torch.manual_seed(0)
        return torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3))

    x = torch.randn(4, 20)
    once = sparsify(network(), x, Params(0.7), inputs="0", exclude="0").compact()
    twice = sparsify(once, x, Params(0.7), inputs="0.1", exclude="0.1").compact()
    save(twice, tmp_path / "small.pt")
    assert torch.equal(load(network(), tmp_path / "small.pt")(x), twice(x))


class Scaled(torch.nn.Module):
    """Computes a scale once, from a width."""

    def __init__(self):
        super().__init__()
        self.scale, self.first, self.last = None, torch.nn.Linear(6, 16), torch.nn.Linear(16, 3)

    def forward(self, x):
        hidden = self.first(x).relu()
        if self.scale is None:
            self.scale = np.sqrt(1 / hidden.shape[-1])
        return self.last(hidden * self.scale)


def test_numbers_that_were_computed_once_come_back(tmp_path):
    model, x = Scaled(), torch.randn(4, 6)
    model(x)
    small = sparsify(model, x, Params(0.5)).compact()
    save(small, tmp_path / "small.pt")
    assert torch.equal(load(Scaled(), tmp_path / "small.pt")(x), small(x))


class Packed(torch.nn.Linear):
    def get_extra_state(self):
        return io.BytesIO(b"scales")

    def set_extra_state(self, state):
        pass


def test_a_state_that_cannot_be_read_again_is_refused(tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), Packed(8, 2))
    with pytest.raises(InputError, match="from `get_extra_state` of '2': .* let it return tensors"):
        save(model, tmp_path / "small.pt")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_loaded_in_inference_mode_can_be_trained(tmp_path):
    small, inputs = small_one("mlp")
    save(small, tmp_path / "small.pt")
    model = NETS["mlp"][0]()
    with torch.inference_mode():
        load(model, tmp_path / "small.pt")
    model(inputs).sum().backward()


def test_a_model_with_gates_is_refused(tmp_path):
    model, x = (make() for make in NETS["mlp"])
    sparsify(model, x, Params(0.5))
    with pytest.raises(
        InputError, match="`model` still has gates; save the model that sparsifier.compact"
    ):
        save(model, tmp_path / "small.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [{"weight": torch.ones(2)}, torch.ones(3), b"text", b""])
def test_a_file_of_something_else_is_refused(content, tmp_path):
    path = tmp_path / "other.pt"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match="`path` '.*other.pt' is no file of `l0.networks.save`"):
        load(NETS["mlp"][0](), path)


@pytest.mark.parametrize("name", NETS)
def test_compact_models_are_exported_and_loaded(name, tmp_path):
    small, inputs = small_one(name)
    torch.export.save(torch.export.export(small, (inputs,)), tmp_path / "small.pt2")
    program = torch.export.load(tmp_path / "small.pt2")
    assert torch.allclose(program.module()(inputs), small(inputs), atol=1e-6)


@pytest.mark.parametrize("name", NETS)
def test_compact_models_are_copied_and_pickled(name):
    small, inputs = small_one(name)
    file = io.BytesIO()
    torch.save(copy.deepcopy(small), file)
    file.seek(0)
    assert torch.equal(torch.load(file, weights_only=False)(inputs), small(inputs))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NETS)
def test_compact_models_go_to_onnx(name, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    from onnx.reference import ReferenceEvaluator

    small, inputs = small_one(name)
    torch.onnx.export(small, (inputs,), dynamo=True, verbose=False).save(tmp_path / "small.onnx")
    loaded = onnx.load(tmp_path / "small.onnx")
    onnx.checker.check_model(loaded)
    session = ReferenceEvaluator(loaded)
    (found,) = session.run(None, {session.input_names[0]: inputs.numpy()})
    assert torch.allclose(torch.from_numpy(found), small(inputs), atol=1e-5)
