"""Compact models go out: to disk, to torch.export, to ONNX."""

import copy
import io

import pytest
import torch

from l0.common.errors import InputError
from l0.networks import Params, load, save, sparsify
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


def test_another_architecture_is_refused(tmp_path):
    small, _ = small_one("mlp")
    save(small, tmp_path / "small.pt")
    with pytest.raises(InputError, match="architecture that was sparsified"):
        load(NETS["lenet"][0](), tmp_path / "small.pt")


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
