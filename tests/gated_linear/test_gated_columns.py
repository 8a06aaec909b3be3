"""What the two models with a gate on each column of a matrix share."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from scipy.special import expit

from l0 import SparseL0Linear
from l0.calibration import SparseCalibrationWeights
from l0.common.errors import InputError

MODELS = [SparseCalibrationWeights, SparseL0Linear]
N = 12


@pytest.fixture(params=MODELS)
def model(request):
    return request.param(N, seed=5)


@pytest.fixture
def data():
    A = (
        sp.random_array((8, N), density=0.6, random_state=np.random.default_rng(1), format="csr")
        * 3
    )
    return A, np.asarray(A @ np.linspace(0.5, 2, N))


def values(module):
    return [value.detach().clone() for value in module.parameters()]


def same(one, other):
    return all(map(torch.equal, values(one), values(other)))


# Gates


@pytest.mark.parametrize("beta", [0.25, 2 / 3, 1.5])
@pytest.mark.parametrize("probability", [0.2, 0.5, 0.97])
@pytest.mark.parametrize("kind", MODELS)
def test_gates_have_the_closed_forms_of_the_distribution(kind, probability, beta):
    n = 20_000
    options = {"beta": beta, "gamma": -0.2, "zeta": 1.3, "init_keep_prob": probability, "seed": 0}
    model = kind(n, **options)
    with torch.no_grad():
        model.log_alpha.fill_(math.log(probability / (1 - probability)))
    p_open = expit(np.log(probability / (1 - probability)) - beta * np.log(0.2 / 1.3))
    assert model.get_l0_penalty().item() == pytest.approx(n * p_open, rel=1e-5)
    gradient = torch.autograd.grad(model.get_l0_penalty(), model.log_alpha)[0]
    np.testing.assert_allclose(gradient, p_open * (1 - p_open), rtol=1e-4)
    median = np.clip(expit(np.log(probability / (1 - probability)) / beta) * 1.5 - 0.2, 0, 1)
    np.testing.assert_allclose(model.get_deterministic_gates().detach(), median, atol=1e-5)
    sample = kind(n, **options)(sp.eye_array(n, format="csr"))  # a product with the identity
    if kind is SparseCalibrationWeights:  # its weights start at 1, so these are the gates
        share = (sample > 0).double().mean().item()
        assert share == pytest.approx(p_open, abs=5 * math.sqrt(p_open * (1 - p_open) / n) + 1e-3)


def test_log_alpha_starts_at_the_logit_with_a_little_noise():
    model = SparseCalibrationWeights(5000, init_keep_prob=0.9, seed=0)
    start = model.log_alpha.detach().numpy()
    assert start.mean() == pytest.approx(math.log(9), abs=5 * 0.01 / math.sqrt(5000))
    assert start.std() == pytest.approx(0.01, rel=0.1)
    still = SparseCalibrationWeights(3, init_keep_prob=[0.0, 0.5, 1.0], log_alpha_jitter_sd=0)
    np.testing.assert_allclose(
        still.log_alpha.detach(), [-13.8155, 0, 13.8155], rtol=2e-3, atol=1e-6
    )


# Randomness


def test_a_seed_makes_everything_reproducible_and_leaves_the_global_generator_alone(model, data):
    before = torch.random.get_rng_state()
    again = type(model)(N, seed=5)
    assert same(model, again)
    model.fit(*data, epochs=5)
    torch.rand(3)  # the global generator moves on: no matter
    again.fit(*data, epochs=5)
    assert same(model, again)
    assert torch.equal(model(data[0]), again(data[0]))
    torch.random.set_rng_state(before)
    type(model)(N, seed=6).fit(*data, epochs=3)(data[0])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("kind", MODELS)
def test_a_seed_that_torch_does_not_take_is_refused(kind):
    assert kind(N, seed=2**64 - 1)
    with pytest.raises(InputError, match="`seed` must be an integer from 0 to the largest"):
        kind(N, seed=2**64)


def test_a_matrix_that_is_read_as_other_numbers_is_another_one(model):
    A = np.ones((2, N), dtype=np.float32)
    model.eval()
    ones, bits = model.predict(A), model.predict(A.view(np.int32))
    assert torch.allclose(bits, ones * int(A.view(np.int32)[0, 0]))


@pytest.mark.parametrize("kind", MODELS)
def test_without_a_seed_the_global_generator_decides(kind, data):
    fits = []
    for _ in range(2):
        torch.manual_seed(8)
        fits.append(kind(N).fit(*data, epochs=5))
    assert same(*fits)


# Going on


def test_chunks_with_looks_between_them_are_one_long_fit(model, data):
    long = copy.deepcopy(model).fit(*data, epochs=60)
    for _ in range(3):
        model.fit(*data, epochs=20)
        model(data[0])  # a sample: looking does not change the fit
        model.predict(data[0])
        torch.save(model.state_dict(), io.BytesIO())
    assert same(long, model)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_goes_on_exactly_where_the_model_stopped(model, data, duplicate):
    model.fit(*data, epochs=10)
    twin = duplicate(model)
    model.fit(*data, epochs=10)
    assert not same(model, twin)
    assert same(model, twin.fit(*data, epochs=10))


def test_a_pickle_needs_no_generator_of_a_device(model, data):
    # That of a GPU cannot be made where there is none, and torch would fail to read the model.
    model.fit(*data, epochs=2)
    assert not any(isinstance(each, torch.Generator) for each in model.__getstate__().values())


def test_an_interrupted_fit_goes_on_where_it_was_stopped(model, data, monkeypatch):
    long = copy.deepcopy(model).fit(*data, epochs=10)
    calls = iter(range(100))
    penalty = model.get_l0_penalty

    def stop_at_the_fifth():
        if next(calls) == 4:
            raise KeyboardInterrupt
        return penalty()

    monkeypatch.setattr(model, "get_l0_penalty", stop_at_the_fifth, raising=False)
    with pytest.raises(KeyboardInterrupt):
        model.fit(*data, epochs=10)
    monkeypatch.undo()
    # The gates of the fifth epoch had been drawn: one sample is left out, nothing else.
    model.fit(*data, epochs=6)
    assert model._adam["log_alpha"]["step"] == long._adam["log_alpha"]["step"] == 10
    assert all(value.isfinite().all() for value in values(model))


def test_the_learning_rate_of_a_later_fit_counts(model, data):
    model.fit(*data, epochs=3)
    before = values(model)
    model.fit(*data, epochs=1, lr=1e-9)
    for old, new in zip(before, values(model), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-6)


def through_a_file(state):
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


@pytest.mark.parametrize("seed", [5, 6, None], ids=["the same seed", "another seed", "no seed"])
def test_a_loaded_state_goes_on_as_if_it_had_not_stopped(model, data, seed):
    model.fit(*data, epochs=10)
    model(data[0])  # a sample between two fits has a stream of its own, which goes on too
    resumed = type(model)(N, seed=seed)
    resumed.load_state_dict(through_a_file(model.state_dict()))
    for _ in range(2):
        assert torch.equal(model(data[0]), resumed(data[0]))
        model.fit(*data, epochs=10, lr=0.02)
        resumed.fit(*data, epochs=10, lr=0.02)
        assert same(model, resumed)


def test_a_loaded_state_is_a_copy(model, data):
    model.fit(*data, epochs=5)
    one, other = (type(model)(N) for _ in range(2))
    for twin in (one, other):
        twin.load_state_dict(model.state_dict())
    long = copy.deepcopy(model).fit(*data, epochs=5)
    one.fit(*data, epochs=5)
    other.fit(*data, epochs=5)
    assert same(one, other) and same(one, long)


def test_a_model_inside_another_module_goes_on_too(model, data):
    class Outer(torch.nn.Module):
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

    model.fit(*data, epochs=5)
    outer = Outer(type(model)(N))
    outer.load_state_dict(through_a_file(Outer(model).state_dict()))
    assert same(model.fit(*data, epochs=5), outer.inner.fit(*data, epochs=5))


def test_without_a_seed_the_global_generator_goes_on(model, data):
    kind = type(model)
    torch.manual_seed(3)
    long = kind(N).fit(*data, epochs=10)
    torch.manual_seed(3)
    short = kind(N).fit(*data, epochs=5)
    noise = torch.get_rng_state()
    resumed = kind(N)
    resumed.load_state_dict(short.state_dict())
    torch.set_rng_state(noise)
    assert same(long, resumed.fit(*data, epochs=5))


def test_before_a_fit_there_are_the_parameters_alone(model, data):
    names = {name for name, _ in model.named_parameters()}
    assert set(model.state_dict()) == names
    bare = {name: value.clone() for name, value in model.state_dict().items()}
    model.fit(*data, epochs=5)
    assert all(isinstance(value, torch.Tensor) for value in model.state_dict().values())
    assert {name for name in model.state_dict() if not name.startswith("fit.")} == names
    model.load_state_dict(bare, strict=True)  # Adam starts anew
    assert model._adam is None


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda state: state.update({"fit.log_alpha.exp_avg": torch.zeros(3)}), "size mismatch for "
         "fit.log_alpha.exp_avg"),
        (lambda state: state.pop("fit.log_alpha.step"), "the state of Adam for 'log_alpha' has"),
        (lambda state: state.update({"fit.other.step": torch.zeros(())}), "Unexpected key"),
    ],
)  # fmt: skip
def test_a_damaged_state_is_refused(model, data, change, text):
    state = dict(model.fit(*data, epochs=5).state_dict())
    change(state)
    with pytest.raises(RuntimeError, match=text):
        type(model)(N).load_state_dict(state)


def test_random_numbers_of_another_device_are_told(model, data, caplog):
    state = dict(model.fit(*data, epochs=5).state_dict())
    for name in ("fitting", "looking"):
        state[f"fit.generator.{name}"] = torch.zeros(7, dtype=torch.uint8)
    resumed = type(model)(N, seed=5)
    resumed.load_state_dict(state)
    assert "random numbers of a device that is not here" in caplog.text
    assert resumed._adam is not None


# Matrices


FORMS = {
    "csr_array": sp.csr_array,
    "csr_matrix": sp.csr_matrix,
    "csc": sp.csc_array,
    "coo": sp.coo_array,
    "dense": lambda A: A.toarray(),
    "float32": lambda A: A.astype(np.float32),
    "int64 indices": lambda A: sp.csr_array(
        (A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64)), shape=A.shape
    ),
    "torch dense": lambda A: torch.from_numpy(A.toarray()),
    "torch coo": lambda A: torch.from_numpy(A.toarray()).to_sparse_coo(),
}


@pytest.mark.parametrize("form", FORMS)
def test_any_form_of_a_matrix_does(model, data, form):
    A, y = data
    model.fit(A, y, epochs=2)
    expected = copy.deepcopy(model).predict(A)
    assert torch.equal(model.predict(FORMS[form](A)), expected)


def test_a_matrix_is_known_by_its_content(model, data):
    A, y = data
    model.fit(A, y, epochs=2)
    bias = getattr(model, "bias", None)
    bias = 0 if bias is None else bias.detach()
    once = model.predict(A) - bias
    torch.testing.assert_close(model.predict(100 * A) - bias, 100 * once, rtol=1e-4, atol=1e-3)
    moved = sp.csr_array((A.data, (A.indices + 1) % N, A.indptr), shape=A.shape)
    assert not torch.allclose(model.predict(moved) - bias, once)
    A.data *= 3  # in place
    torch.testing.assert_close(model.predict(A) - bias, 3 * once, rtol=1e-4, atol=1e-4)


def test_the_matrix_that_came_in_is_left_alone(model, data):
    A, y = data
    A = sp.csr_array((A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64)), shape=A.shape)
    kept = A.copy()
    model.fit(A, y, epochs=2)
    assert (kept != A).nnz == 0
    assert A.indices.dtype == np.int64


def test_gradients_reach_a_loop_of_ones_own(model, data):
    A, y = data
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    goal = torch.tensor(y, dtype=torch.float32)
    losses = []
    for _ in range(60):
        loss = (model(A, deterministic=True) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


# Wrong input


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_features": 0}, "`n_features` must be an integer of at least 1, got 0"),
        ({"beta": 0.0}, "`beta` must be positive"),
        ({"gamma": 0.0}, "`gamma` is 0.0 and `zeta` 1.1"),
        ({"zeta": 1.0}, "`gamma` is -0.1 and `zeta` 1.0"),
        ({"init_keep_prob": 1.5}, "`init_keep_prob` must lie between 0 and 1"),
        (
            {"init_keep_prob": [0.5]},
            r"`init_keep_prob` must have shape \(12,\), one number for each feature, got \(1,\)",
        ),
        ({"init_keep_prob": math.nan}, "`init_keep_prob` is NaN"),
        ({"device": "nowhere"}, "`device` 'nowhere' cannot be used here"),
        ({"seed": -1}, "`seed` must be an integer from 0"),
    ],
)
def test_wrong_settings_are_named(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**{"n_features": N, **options})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.0}, "`lr` must be positive"),
        ({"epochs": -1}, "`epochs` must be an integer of at least 0"),
        ({"epochs": 1.5}, "`epochs` must be an integer"),
        ({"verbose_freq": 0}, "`verbose_freq` must be an integer of at least 1"),
    ],
)
def test_wrong_options_of_a_fit_are_named_and_change_nothing(model, data, change, message):
    before = values(model)
    with pytest.raises(ValueError, match=message):
        model.fit(*data, **change)
    assert all(map(torch.equal, before, values(model)))


def test_matrices_that_cannot_be_are_named(model, data):
    A, y = data
    name = "M" if isinstance(model, SparseCalibrationWeights) else "X_sparse"
    with pytest.raises(ValueError, match=rf"`{name}` has 11 columns, but the model has 12"):
        model.fit(A[:, 1:], y)
    with pytest.raises(ValueError, match=rf"`{name}` has shape \(0, 12\)"):
        model.fit(A[:0], y[:0])
    with pytest.raises(ValueError, match=rf"`{name}` has shape \(8,\)"):
        model.fit(y, y)
    bad = A.copy()
    bad.data[0] = math.nan
    with pytest.raises(ValueError, match=rf"`{name}` has NaN or infinite entries in 1 row"):
        model.fit(bad, y)
    with pytest.raises(ValueError, match=rf"`y` has 7 entries for 8 rows of `{name}`"):
        model.fit(A, y[1:])
    with pytest.raises(ValueError, match=r"`y` is NaN or infinite at 1 position \(2\)"):
        model.fit(A, np.where(np.arange(8) == 2, math.nan, y))


def test_a_fit_prints_only_when_asked(model, data, capsys):
    model.fit(*data, epochs=4)
    assert capsys.readouterr() == ("", "")
    model.fit(*data, epochs=4, verbose=True, verbose_freq=2)
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split(":")[0] for line in out.splitlines()] == ["epoch 2", "epoch 4"]


def test_the_default_dtype_does_not_matter(model):
    torch.set_default_dtype(torch.float64)
    try:
        other = type(model)(N, seed=5)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(other.log_alpha, model.log_alpha)


# What is no matrix of numbers


BAD_MATRICES = {
    "text": np.full((8, N), "1"),
    "complex": np.ones((8, N)) * 1j,
    "sparse complex": sp.eye_array(8, N) * 1j,
    "objects": np.full((8, N), object()),
    "complex tensor": torch.ones(8, N, dtype=torch.complex64),
    "sparse complex tensor": torch.ones(8, N, dtype=torch.complex64).to_sparse(),
}


@pytest.mark.parametrize("matrix", BAD_MATRICES.values(), ids=BAD_MATRICES)
def test_a_matrix_that_is_not_of_real_numbers_is_named(model, matrix):
    name = "M" if isinstance(model, SparseCalibrationWeights) else "X_sparse"
    before = values(model)
    with pytest.raises(InputError, match=f"`{name}` must be numbers; cast them"):
        model.fit(matrix, np.ones(8), epochs=1)
    assert all(map(torch.equal, before, values(model)))


@pytest.mark.parametrize("y", [["1"] * 8, np.ones(8) * 1j, torch.ones(8) * 1j], ids=repr)
def test_totals_that_are_not_real_numbers_are_named(model, data, y):
    with pytest.raises(InputError, match="`y` must be numbers; cast them"):
        model.fit(data[0], y, epochs=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda A: A.astype(bool),
        lambda A: A.toarray().astype(bool),
        lambda A: A.toarray().astype(bool).astype(object),
        lambda A: A.toarray().astype(bool).astype(np.float16),
        lambda A: torch.tensor(A.toarray().astype(bool), dtype=torch.bfloat16),
        lambda A: torch.tensor(A.toarray().astype(bool), dtype=torch.bfloat16).to_sparse(),
    ],
)
def test_zeros_and_ones_of_every_type_are_the_same(model, data, make):
    A, y = data
    other = copy.deepcopy(model)
    model.fit(A.astype(bool).astype(np.float64), y, epochs=3)
    other.fit(make(A), y, epochs=3)
    assert same(model, other)
