"""What PyTorch does to modules (save, copy, compile, convert, replicate) works on ours."""

import copy
import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

import l0

ROWS = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
IMAGES = torch.randn(2, 3, 6, 6, generator=torch.Generator().manual_seed(2))
MATRIX = sp.random(6, 6, density=0.6, random_state=np.random.default_rng(3), format="csr")
VALUES = MATRIX @ np.ones(6)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


class Case(NamedTuple):
    build: Callable
    inputs: tuple = ()


CASES = {
    "HardConcrete": Case(lambda: l0.HardConcrete(6)),
    "HadamardGate": Case(lambda: l0.HadamardGate(6, depth=3)),
    "L0Gate": Case(lambda: l0.L0Gate(6)),
    "SampleGate": Case(lambda: l0.SampleGate(6, 2)),
    "FeatureGate": Case(lambda: l0.FeatureGate(6, 2)),
    "HybridGate": Case(lambda: l0.HybridGate(6, target_items=4)),
    "L0Linear": Case(lambda: l0.L0Linear(6, 4), (ROWS,)),
    "L0Conv2d": Case(lambda: l0.L0Conv2d(3, 4, 3), (IMAGES,)),
    "L0Conv2d, structured": Case(lambda: l0.L0Conv2d(3, 4, 3, structured=True), (IMAGES,)),
    "L0DepthwiseConv2d": Case(lambda: l0.L0DepthwiseConv2d(3, 3), (IMAGES,)),
    "SparseMLP": Case(lambda: l0.SparseMLP(6, 5, 4), (ROWS,)),
    "SparseL0Linear": Case(lambda: l0.SparseL0Linear(6), (MATRIX, True)),
    "SparseCalibrationWeights": Case(
        lambda: l0.SparseCalibrationWeights(6, init_keep_prob=0.8), (MATRIX, True)
    ),
}
FITTED = ("SparseL0Linear", "SparseCalibrationWeights")
#: All that have a forward pass, which compiling, mapping and functional calls are about.
CALLED = [case for case in CASES if case != "HybridGate"]
DENSE = [case for case in CALLED if case not in FITTED]


def trained(case, seed=0):
    """A module in evaluation mode with parameters that are all different."""
    module = CASES[case].build().eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return module


def output(module, case):
    if case == "HybridGate":
        return module.l0_gate()
    return module(*CASES[case].inputs)


def gradients(module, case):
    output(module, case).square().sum().backward()
    return [parameter.grad for parameter in module.parameters()]


def through_a_file(thing, **options):
    file = io.BytesIO()
    torch.save(thing, file)
    file.seek(0)
    return torch.load(file, **options)


# State, copies, files


@pytest.mark.parametrize("case", CASES)
def test_a_state_goes_through_a_file(case):
    module, other = trained(case), trained(case, seed=1)
    other.load_state_dict(through_a_file(module.state_dict(), weights_only=True))
    assert torch.equal(output(module, case), output(other, case))


@pytest.mark.parametrize("case", CASES)
def test_a_copy_is_equal_and_independent(case):
    module = trained(case)
    gradients(module, case)  # what a forward and a backward pass leave behind does no harm
    before = output(module, case)
    twin = copy.deepcopy(module)
    assert torch.equal(output(twin, case), before)
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.add_(1)
    assert torch.equal(output(module, case), before)
    assert not torch.equal(output(twin, case), before)


@pytest.mark.parametrize("case", CASES)
def test_a_whole_module_goes_through_a_file(case):
    module = trained(case)
    other = through_a_file(module, weights_only=False)
    assert torch.equal(output(module, case), output(other, case))
    for ours, theirs in zip(gradients(module, case), gradients(other, case), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("case", FITTED)
@pytest.mark.parametrize("again", [copy.deepcopy, lambda m: through_a_file(m, weights_only=False)])
def test_a_fit_goes_on_after_a_copy_and_a_file(case, again):
    model = getattr(l0, case)(6, seed=5).fit(MATRIX, VALUES, epochs=4)
    twin = again(model)
    model.fit(MATRIX, VALUES, epochs=4)
    twin.fit(MATRIX, VALUES, epochs=4)
    for ours, theirs in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("case", FITTED)
def test_a_fit_adds_its_own_state_alone_and_a_bare_state_still_loads(case):
    model = CASES[case].build()
    bare = copy.deepcopy(model.state_dict())
    model.fit(MATRIX, VALUES, epochs=1)
    assert [name for name in model.state_dict() if not name.startswith("fit.")] == list(bare)
    model.load_state_dict(bare, strict=True)
    assert list(model.state_dict()) == list(bare)


def test_learning_adds_nothing_to_the_state_and_survives_a_copy_and_a_file():
    data = np.random.default_rng(0).lognormal(size=(60, 3))
    gate = l0.SampleGate(60, 20)
    before = list(gate.state_dict())
    selected, weights, rows = gate.select_weighted_samples(data, np.ones(60))
    assert list(gate.state_dict()) == before
    for twin in (copy.deepcopy(gate), through_a_file(gate, weights_only=False)):
        same = twin.select_weighted_samples(data, np.ones(60))
        for ours, theirs in zip((selected, weights, rows), same, strict=True):
            np.testing.assert_array_equal(ours, theirs)


# Functional calls, replicas


@pytest.mark.parametrize("case", CALLED)
def test_parameters_can_be_passed_in(case):
    module, other = trained(case), trained(case, seed=1)
    given = {name: p.detach().clone().requires_grad_() for name, p in other.named_parameters()}
    called = torch.func.functional_call(module, given, CASES[case].inputs)
    torch.testing.assert_close(called, output(other, case), rtol=0, atol=0)
    called.square().sum().backward()
    for tensor, expected in zip(given.values(), gradients(other, case), strict=True):
        torch.testing.assert_close(tensor.grad, expected)


@pytest.mark.parametrize("case", DENSE)
def test_an_ensemble_can_be_mapped_over(case):
    modules = [trained(case, seed) for seed in range(3)]
    parameters, buffers = torch.func.stack_module_state(modules)

    def call(parameters, buffers):
        return torch.func.functional_call(modules[0], (parameters, buffers), CASES[case].inputs)

    mapped = torch.vmap(call)(parameters, buffers)
    torch.testing.assert_close(mapped, torch.stack([output(m, case) for m in modules]))


def replica(module):
    """What `torch.nn.DataParallel` puts on each GPU: plain tensors in place of the parameters."""
    twin = module._replicate_for_data_parallel()
    for name, child in module._modules.items():
        twin._modules[name] = replica(child)
    for name, parameter in module._parameters.items():
        setattr(twin, name, None if parameter is None else parameter * 1)
    return twin


@pytest.mark.parametrize("case", CASES)
def test_replicas_answer_alike_and_pass_gradients_back(case):
    module, other = trained(case), trained(case)
    twin = replica(module)
    torch.testing.assert_close(output(twin, case), output(module, case))
    output(twin, case).square().sum().backward()
    found = [parameter.grad for parameter in module.parameters()]
    for ours, expected in zip(found, gradients(other, case), strict=True):
        torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("case", CASES)
def test_replicas_know_their_penalty(case):
    module = trained(case)
    for name in ("get_penalty", "get_l0_penalty", "get_l2_penalty", "get_l0_loss", "get_sparsity"):
        if hasattr(module, name):
            expected, found = getattr(module, name)(), getattr(replica(module), name)()
            torch.testing.assert_close(torch.as_tensor(found), torch.as_tensor(expected))


# Compilation


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("case", DENSE)
def test_compiles_as_one_graph(case, training):
    module = trained(case).train(training)
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        expected = output(module, case)
        torch.manual_seed(0)
        torch.testing.assert_close(output(compiled, case), expected)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # the compiler's own, at the break
@pytest.mark.parametrize("case", FITTED)
def test_sparse_products_compile_with_a_break(case):
    """A scipy matrix is no part of a graph: its layout breaks it in two, and the answer stands."""
    module = trained(case)
    compiled = torch.compile(module, backend="eager")
    torch.testing.assert_close(output(compiled, case), output(module, case))


# Devices and dtypes


def converted(inputs, **options):
    return [x.to(**options) if isinstance(x, torch.Tensor) else x for x in inputs]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CALLED)
def test_moves_to_a_device(case, device):
    module = trained(case)
    before = output(module, case)
    assert module.to(device) is module
    there = module(*converted(CASES[case].inputs, device=device))
    assert there.device.type == device
    torch.testing.assert_close(there.cpu(), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("case", CALLED)
def test_other_precisions_give_the_numbers_of_float32(case, dtype):
    module = trained(case)
    expected = output(module, case)
    module.to(dtype)
    found = module(*converted(CASES[case].inputs, dtype=dtype))
    if case not in FITTED:  # a product with a sparse matrix is in float32 always
        assert found.dtype == dtype
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == torch.float64 else {"rtol": 0.05}
    torch.testing.assert_close(found.float(), expected, **{"atol": 0.05, **tolerance})
    module.train()
    loss = module(*converted(CASES[case].inputs, dtype=dtype)).float().square().sum()
    (loss + l0.compute_l0_penalty(module)).backward()
    for parameter in module.parameters():
        assert parameter.grad.dtype == dtype
        assert parameter.grad.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_printing_says_what_it_is(case):
    assert repr(CASES[case].build()).startswith(case.partition(",")[0])


def test_every_public_module_is_here():
    public = {
        name
        for name in l0.__all__
        if isinstance(getattr(l0, name), type) and issubclass(getattr(l0, name), nn.Module)
    }
    assert public == {case.partition(",")[0] for case in CASES}
