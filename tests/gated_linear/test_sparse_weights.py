import copy
import math

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from l0.calibration import SparseCalibrationWeights

N, TARGETS = 60, 9


@pytest.fixture
def problem():
    rng = np.random.default_rng(2)
    M = sp.random_array((TARGETS, N), density=0.5, random_state=rng, format="csr") * 40
    return M, np.asarray(M @ rng.uniform(0.5, 2, N))


def still(**options):
    """A model whose fit has no randomness but the gates'."""
    return SparseCalibrationWeights(N, log_alpha_jitter_sd=0, seed=0, **options)


def relative_error(model, M, y):
    return (model.predict(M).numpy() - y) / y


# What is fitted


def test_without_gates_the_totals_are_hit(problem):
    M, y = problem
    model = still(use_gates=False).fit(M, y, loss_type="relative", lr=0.05, epochs=400)
    np.testing.assert_allclose(relative_error(model, M, y), 0, atol=1e-3)
    assert (model.get_weights() > 0).all()
    assert model.get_sparsity() == 0
    assert model.get_active_weights()["count"] == N
    assert torch.equal(model.get_weights(), model.get_weights(deterministic=True))


def test_the_objective_is_the_one_written_down(problem):
    """One step of Adam moves against the sign of the gradient of the documented objective."""
    M, y = problem
    y = y.copy()
    y[:3] = [0.25, -0.5, -1.0]  # max(|y|, 1) is 1 here; y + 1 would be 0 for the last
    for loss_type, scale in (("mse", 1), ("relative", np.maximum(np.abs(y), 1))):
        model = still(use_gates=False, init_weights=np.linspace(0.5, 2, N))
        x = model.log_weight.detach().double().clone().requires_grad_()
        dense = torch.from_numpy(M.toarray())
        error = (torch.from_numpy(y) - dense @ x.exp()) / torch.from_numpy(scale * np.ones(TARGETS))
        (error.square().sum() + 0.3 * (2 * x).exp().sum()).backward()
        before = model.log_weight.detach().clone()
        model.fit(M, y, loss_type=loss_type, lambda_l2=0.3, lr=1e-3, epochs=1)
        step = model.log_weight.detach() - before
        torch.testing.assert_close(step, -1e-3 * x.grad.sign().float(), rtol=0, atol=2e-6)


def test_relative_errors_do_not_know_units(problem):
    M, y = problem
    factor = np.linspace(1, 1000, TARGETS)
    fits = []
    for rows in (np.ones(TARGETS), factor):
        scaled = sp.csr_array(sp.diags_array(rows) @ M)
        fits.append(still().fit(scaled, rows * y, loss_type="relative", epochs=30, lr=0.05))
    torch.testing.assert_close(fits[0].log_weight, fits[1].log_weight, rtol=1e-3, atol=1e-3)


def test_a_stronger_penalty_keeps_fewer(problem):
    M, y = problem
    kept = [
        still().fit(M, y, loss_type="relative", lambda_l0=strength, lr=0.1, epochs=300)
        for strength in (0.0, 0.003, 0.1)
    ]
    counts = [model.get_active_weights()["count"] for model in kept]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[1] > counts[2]


def test_the_square_penalty_holds_weights_down(problem):
    M, y = problem
    free, held = (
        still().fit(M, y, loss_type="relative", lambda_l2=strength, lr=0.05, epochs=200)
        for strength in (0.0, 0.1)
    )
    assert held.get_l2_penalty() < free.get_l2_penalty()
    torch.testing.assert_close(free.get_l2_penalty(), free.log_weight.exp().square().sum())


# Groups


def test_a_target_repeated_in_its_group_changes_nothing(problem):
    M, y = problem
    groups = np.arange(TARGETS) % 3
    again = np.flatnonzero(groups == 1)
    doubled = sp.csr_array(sp.vstack([M, M[again]]))
    one = still().fit(M, y, target_groups=groups, loss_type="relative", epochs=30)
    other = still().fit(
        doubled,
        np.append(y, y[again]),
        target_groups=np.append(groups, groups[again]),
        loss_type="relative",
        epochs=30,
    )
    torch.testing.assert_close(one.log_weight, other.log_weight, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_around_a_fit_changes_nothing(problem, dtype):
    M, y = problem
    options = {"target_groups": np.arange(TARGETS) // 3, "loss_type": "relative", "epochs": 20}
    expected = still().fit(M, y, **options)
    with torch.autocast("cpu", dtype):
        found = still().fit(M, y, **options)
    assert torch.equal(found.log_weight, expected.log_weight)


def test_multipliers_and_plain_groups(problem):
    M, y = problem
    groups = np.array(["a"] * 3 + ["b"] * 6)
    options = {"loss_type": "relative", "lr": 0.05, "epochs": 300, "lambda_l0": 0.01}
    plain = still().fit(M, y, **options)
    ungrouped = still().fit(M, y, target_groups=groups, normalize_groups=False, **options)
    assert torch.equal(plain.log_weight, ungrouped.log_weight)
    silent = still().fit(M, y, target_groups=groups, group_multipliers={"a": 0.0}, **options)
    loud = still().fit(M, y, target_groups=groups, group_multipliers={"a": 100.0}, **options)
    first = [np.abs(relative_error(model, M, y)[:3]).mean() for model in (loud, silent)]
    assert first[0] < first[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"group_multipliers": {1: 2.0}}, "group_multipliers requires target_groups"),
        (
            {"target_groups": ["a"] * (TARGETS - 1) + [None]},
            r"`target_groups` is None or NaN at 1 position \(8\)",
        ),
        ({"target_groups": [np.nan] * TARGETS}, r"`target_groups` is None or NaN at 9 positions"),
        (
            {"target_groups": np.array(["a"] * (TARGETS - 1) + [1], dtype=object)},
            "`target_groups` are of mixed types",
        ),
        ({"target_groups": [1, 2]}, "`target_groups` has 2 entries for 9 rows of `M`"),
        (
            {"target_groups": ["ak"] * TARGETS, "group_multipliers": {"akk": 1.0}},
            "`group_multipliers` names 'akk', which is not found in `target_groups`; closest: 'ak'",
        ),
        (
            {"target_groups": [1] * TARGETS, "group_multipliers": {1: -1.0}},
            r"`group_multipliers\[1\]` must be finite and at least 0",
        ),
        ({"loss_type": "mae"}, "`loss_type` is 'mae'; it must be 'mse' or 'relative'"),
        ({"lambda_l0": -1.0}, "`lambda_l0` must be finite and at least 0"),
        ({"lambda_l2": math.inf}, "`lambda_l2` must be finite"),
    ],
)
def test_wrong_options_are_named_and_change_nothing(problem, options, message):
    model = still(log_weight_jitter_sd=0.1)
    before = copy.deepcopy(model)
    with pytest.raises(ValueError, match=message):
        model.fit(*problem, **options)
    assert torch.equal(model.log_weight, before.log_weight)
    model.fit(*problem, epochs=3)
    assert torch.equal(model.log_weight, before.fit(*problem, epochs=3).log_weight)


def test_a_target_without_entries_is_an_error_unless_it_is_0(problem):
    M, y = problem
    M = M.tolil()
    M[4] = 0
    M = sp.csr_array(M)
    with pytest.raises(ValueError, match=r"`M` has no entry in 1 row whose total is not 0 \(4\)"):
        still().fit(M, y)
    still().fit(M, np.where(np.arange(TARGETS) == 4, 0, y), epochs=2)


# Where it starts


def test_weights_start_where_they_are_said_to():
    start = np.linspace(0, 3, N)
    weights = still(init_weights=start, use_gates=False).get_weights()
    np.testing.assert_allclose(weights.detach(), np.maximum(start, 1e-8), rtol=1e-5)
    np.testing.assert_allclose(still(use_gates=False).get_weights().detach(), 1)
    with pytest.raises(ValueError, match="`init_weights` is negative at 0, 1, 2, 3, 4 and 55 more"):
        still(init_weights=np.full(N, -1.0))
    with pytest.raises(
        ValueError,
        match=r"`init_weights` must have shape \(60,\), .* got \(2,\)",
    ):
        still(init_weights=[1.0, 2.0])


def test_jitter_comes_once_and_again_when_asked(problem):
    def jittered(model):
        before = model.log_weight.detach().clone()
        model.fit(*problem, epochs=0)
        return (model.log_weight.detach() - before).std().item()

    model = still(log_weight_jitter_sd=0.2)
    assert jittered(model) == pytest.approx(0.2, rel=0.5)
    assert jittered(model) == 0
    model.log_weight_jitter_sd = 0.4
    assert jittered(model) == pytest.approx(0.4, rel=0.5)
    assert jittered(model) == 0
    model.log_weight_jitter_sd = 0.0
    assert jittered(model) == 0

    resumed = still(log_weight_jitter_sd=0.2)
    resumed.load_state_dict(model.state_dict())
    assert jittered(resumed) == 0  # what was saved has had its jitter
    with pytest.raises(ValueError, match="`log_weight_jitter_sd` must be finite and at least 0"):
        model.log_weight_jitter_sd = -1


# What it tells


def test_the_accounts_agree_with_each_other(problem):
    M, y = problem
    model = still().fit(M, y, loss_type="relative", lambda_l0=0.01, lr=0.1, epochs=300)
    weights = model.get_weights(deterministic=True)
    active = model.get_active_weights()
    assert 0 < active["count"] < N
    assert active["count"] == len(active["indices"]) == len(active["values"])
    assert torch.equal(weights[active["indices"]], active["values"])
    assert torch.count_nonzero(weights) == active["count"]
    assert model.get_sparsity() == pytest.approx(1 - active["count"] / N)
    torch.testing.assert_close(
        model.predict(M), torch.from_numpy(M @ weights.detach().numpy()).float()
    )
    assert not model.predict(M).requires_grad
    assert model(M).requires_grad
    assert not torch.equal(model(M), model(M))  # a sample each
