"""What code written for l0-python 0.6 gains without a change.

Only names that 0.6.2 has as well are used, so that this very file runs on it: every test here
fails there (tests/peer/test_fixes_on_the_old_package.py sees to that), and its docstring says how.
"""

import copy
import io

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from l0 import (
    FeatureGate,
    HybridGate,
    L0Conv2d,
    L0DepthwiseConv2d,
    L0Linear,
    PenaltyTracker,
    SampleGate,
    SparseCalibrationWeights,
    SparseL0Linear,
    SparseMLP,
    TemperatureScheduler,
    compute_l2_penalty,
    get_active_parameter_count,
    get_sparsity_stats,
    prune_model,
    update_temperatures,
)

N_TARGETS, N_RECORDS = 6, 40


@pytest.fixture
def job():
    """A matrix of targets x records, and totals that some weights meet."""
    generator = np.random.default_rng(1)
    matrix = sp.random(N_TARGETS, N_RECORDS, density=0.5, random_state=generator, format="csr")
    return matrix, matrix @ generator.uniform(0.5, 2, N_RECORDS)


def calibration(**options):
    return SparseCalibrationWeights(N_RECORDS, **{"init_keep_prob": 0.9, "seed": 0, **options})


# A matrix is known by its content


def test_a_matrix_of_the_same_shape_is_not_taken_for_the_one_before(job):
    """0.6.2 answered for the matrix of the fit: it went by the shape and the count of entries."""
    matrix, y = job
    model = calibration().fit(matrix, y, epochs=2)
    torch.testing.assert_close(model.predict(100 * matrix), 100 * model.predict(matrix))


def test_a_fit_to_another_matrix_of_the_same_shape_is_a_fit_to_that_one(job):
    """0.6.2 went on fitting the matrix of the first call."""
    matrix, y = job
    model = calibration(use_gates=False).fit(matrix, y, lambda_l0=0, epochs=1)
    model.fit(3 * matrix, 3 * y, lambda_l0=0, lr=0.05, epochs=300)
    weights = model.get_weights(deterministic=True).detach().numpy()
    np.testing.assert_allclose(matrix @ weights, y, rtol=0.02)


def test_a_matrix_changed_in_place_is_read_again(job):
    """0.6.2 answered for the entries as they had been."""
    matrix, y = job
    model = calibration().fit(matrix, y, epochs=2)
    before = model.predict(matrix)
    matrix.data *= 100
    torch.testing.assert_close(model.predict(matrix), 100 * before)


def test_the_linear_model_knows_its_matrix_by_content_too(job):
    """0.6.2 answered for the matrix of the fit."""
    x = job[0].T.tocsr()
    model = SparseL0Linear(N_TARGETS, fit_intercept=False, seed=0)
    model.fit(x, np.ones(N_RECORDS), epochs=2)
    torch.testing.assert_close(model.predict(100 * x), 100 * model.predict(x))


# What cannot be meant is refused by name


def test_an_unknown_loss_is_refused(job):
    """0.6.2 took any word but "relative" for "mse"."""
    with pytest.raises(ValueError, match=r"`loss_type`.*'huber'"):
        calibration().fit(*job, epochs=1, loss_type="huber")


def test_an_unknown_schedule_is_refused_before_training_starts():
    """0.6.2 raised from the first get_temperature, hours into a run that starts at the end."""
    with pytest.raises(ValueError, match=r"`schedule`.*'step'"):
        TemperatureScheduler(schedule="step")


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_and_infinite_numbers_are_refused(job, bad):
    """0.6.2 turned every weight into NaN, and said nothing."""
    matrix, y = job
    broken = matrix.copy()
    broken.data[3] = bad
    with pytest.raises(ValueError, match="`M`"):
        calibration().fit(broken, y, epochs=1)
    y[2] = bad
    with pytest.raises(ValueError, match="`y`.*2"):
        calibration().fit(matrix, y, epochs=1)


def test_missing_numbers_are_refused_by_the_linear_model(job):
    """0.6.2 turned every weight into NaN, and said nothing."""
    x = job[0].T.tocsr()
    y = np.ones(N_RECORDS)
    y[7] = np.nan
    with pytest.raises(ValueError, match="`y`.*7"):
        SparseL0Linear(N_TARGETS).fit(x, y, epochs=1)


def test_an_empty_target_is_refused(job):
    """0.6.2 carried the target, which no weight can move, as a constant in the loss."""
    matrix, y = job
    matrix = matrix.tolil()
    matrix[4] = 0
    with pytest.raises(ValueError, match=r"`M`.*\b4\b"):
        calibration().fit(matrix.tocsr(), y, epochs=1)


def test_no_targets_are_refused():
    """0.6.2 let the penalty alone close the gates."""
    with pytest.raises(ValueError, match="`M`"):
        calibration().fit(sp.csr_matrix((0, N_RECORDS)), np.zeros(0), epochs=1)


def test_targets_of_the_wrong_length_are_refused(job):
    """0.6.2 failed inside torch, and a single target was spread over all rows."""
    matrix, y = job
    for wrong in (y[:-1], y[:1], np.append(y, 1.0)):
        with pytest.raises(ValueError, match="`y`"):
            calibration().fit(matrix, wrong, epochs=1)


def test_a_matrix_of_the_wrong_width_is_refused(job):
    """0.6.2 failed inside torch."""
    matrix, y = job
    with pytest.raises(ValueError, match="`M`"):
        calibration().fit(matrix[:, :-1], y, epochs=1)
    with pytest.raises(ValueError, match="`M`"):
        calibration().predict(matrix[:, :-1])


def test_groups_of_the_wrong_length_are_refused(job):
    """0.6.2 failed with an IndexError about a mask."""
    matrix, y = job
    with pytest.raises(ValueError, match="`target_groups`"):
        calibration().fit(matrix, y, epochs=1, target_groups=np.zeros(N_TARGETS - 1, dtype=int))


def test_data_of_the_wrong_length_is_refused():
    """0.6.2 took whatever rows the gates pointed at, or failed with an IndexError."""
    data = torch.ones(60, 2)
    for select in (
        SampleGate(50, 10).select_samples,
        HybridGate(50, target_items=10).select,
        FeatureGate(3, 1).select_features,
    ):
        with pytest.raises(ValueError, match="`data`"):
            select(data)


# A second fit goes on


@pytest.mark.parametrize("use_gates", [True, False])
def test_chunks_with_logging_and_checkpoints_give_the_weights_of_one_long_fit(job, use_gates):
    """0.6.2 jittered the weights again and forgot the optimiser's moments at every call."""
    options = {"log_weight_jitter_sd": 0.05, "use_gates": use_gates}
    long = calibration(**options).fit(*job, epochs=300, loss_type="relative")
    chunked = calibration(**options)
    for _ in range(3):
        chunked.fit(*job, epochs=100, loss_type="relative")
        chunked.get_weights()
        chunked.get_active_weights()
        chunked.get_sparsity()
        chunked.predict(job[0])
        torch.save(chunked.state_dict(), io.BytesIO())
    assert torch.equal(chunked.log_weight, long.log_weight)
    assert torch.equal(chunked.log_alpha, long.log_alpha)


def test_jitter_comes_once_unless_it_is_asked_for_again(job):
    """0.6.2 jittered at every call, so that a run in chunks wandered off."""
    model = calibration(log_weight_jitter_sd=0.5)

    def moved():
        before = model.log_weight.detach().clone()
        model.fit(*job, lr=1e-6, epochs=1)
        return (model.log_weight.detach() - before).std().item()

    assert moved() > 0.25
    assert moved() < 0.01
    model.log_weight_jitter_sd = 0.5
    assert moved() > 0.25
    assert moved() < 0.01
    model.log_weight_jitter_sd = 0.0
    assert moved() < 0.01


def test_the_linear_model_goes_on_too(job):
    """0.6.2 drew its weights anew at every call and forgot what it had learnt."""
    x = job[0].T.tocsr()
    y = np.asarray(x.sum(axis=1)).ravel()
    long = SparseL0Linear(N_TARGETS, seed=0).fit(x, y, epochs=40)
    chunked = SparseL0Linear(N_TARGETS, seed=0).fit(x, y, epochs=20).fit(x, y, epochs=20)
    assert torch.equal(chunked.weight, long.weight)
    assert torch.equal(chunked.log_alpha, long.log_alpha)


# A seed covers everything that is drawn


def test_a_seed_makes_a_fit_repeatable(job):
    """0.6.2 drew the gates of every epoch from the global generator, seed or no seed."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        first = calibration(seed=3).fit(*job, epochs=20)
        torch.manual_seed(2)
        second = calibration(seed=3).fit(*job, epochs=20)
    other = calibration(seed=4).fit(*job, epochs=20)
    assert torch.equal(first.log_weight, second.log_weight)
    assert torch.equal(first.log_alpha, second.log_alpha)
    assert not torch.equal(first.log_alpha, other.log_alpha)


def test_a_seeded_model_leaves_the_global_generator_alone(job):
    """0.6.2 moved it on by one draw a record and epoch."""
    before = torch.get_rng_state()
    model = calibration(log_weight_jitter_sd=0.1).fit(*job, epochs=2)
    model.get_weights()
    assert torch.equal(before, torch.get_rng_state())


def test_a_seed_covers_the_linear_model_too(job):
    """0.6.2 drew its first weights and every gate from the global generator."""
    x = job[0].T.tocsr()
    y = np.asarray(x.sum(axis=1)).ravel()
    before = torch.get_rng_state()
    first, second = (SparseL0Linear(N_TARGETS, seed=3).fit(x, y, epochs=5) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.weight, second.weight)
    assert torch.equal(first.log_alpha, second.log_alpha)


def test_a_seeded_selection_leaves_the_global_generator_alone():
    """0.6.2 seeded the global generator with `random_seed`."""
    before = torch.get_rng_state()
    HybridGate(50, target_items=10).select(torch.rand(50, 3, generator=torch.Generator()), 7)
    assert torch.equal(before, torch.get_rng_state())


# Relative errors


@pytest.mark.parametrize("small", [0.5, 2.0, -3.0])
def test_a_relative_error_is_relative_to_the_value_and_at_least_to_one(small):
    """0.6.2 divided by y + 1, so that small and negative targets weighed the wrong amount."""
    y = np.array([small, 5.0])
    signs = np.sign(y)
    scale = np.maximum(np.abs(y), 1)
    # One weight serves two targets that disagree: the least squares of the relative errors.
    best = (np.abs(y) / scale**2).sum() / (1 / scale**2).sum()
    model = SparseCalibrationWeights(1, use_gates=False, seed=0)
    model.fit(sp.csr_matrix(signs[:, None]), y, 0.0, lr=0.02, epochs=600, loss_type="relative")
    assert model.get_weights(deterministic=True).item() == pytest.approx(best, rel=1e-3)


def test_a_target_of_minus_one_has_a_relative_error():
    """0.6.2 divided by zero, and every weight became NaN."""
    model = SparseCalibrationWeights(2, use_gates=False, seed=0)
    matrix = sp.csr_matrix([[1.0, -2.0], [1.0, 0.0]])
    model.fit(matrix, np.array([-1.0, 2.0]), 0.0, lr=0.02, epochs=600, loss_type="relative")
    np.testing.assert_allclose(model.predict(matrix).numpy(), [-1, 2], rtol=1e-3)


# Gates return the number asked for, and learn


@pytest.fixture
def table():
    return torch.randn(400, 12, generator=torch.Generator().manual_seed(5)).exp()


def test_the_number_of_samples_is_the_number_asked_for(table):
    """0.6.2 drew a gate for each row and returned those that came up: 40 here, give or take."""
    for target in (1, 13, 40, 400):
        selected, indices = SampleGate(len(table), target).select_samples(table)
        assert len(selected) == len(indices) == target
        assert torch.equal(selected, table[indices])


def test_the_number_of_weighted_samples_is_the_number_asked_for(table):
    """0.6.2 returned every row with a gate above 0, several times the number."""
    selected, weights, indices = SampleGate(len(table), 40).select_weighted_samples(
        table, torch.full((400,), 2.0)
    )
    assert len(selected) == len(weights) == len(indices) == 40
    assert (weights > 0).all()


def test_untrained_samples_learn_the_totals_of_the_data(table):
    """0.6.2 gave a random subset with the weights it came with, and totals far too low."""
    selected, weights, _ = SampleGate(len(table), 40).select_weighted_samples(
        table, torch.full((400,), 2.0)
    )
    np.testing.assert_allclose(weights.detach() @ selected, 2 * table.sum(dim=0), rtol=0.02)


def test_a_selection_is_the_same_twice(table):
    """0.6.2 drew anew at each call."""
    for gate in (SampleGate(len(table), 40), HybridGate(len(table), 1.0, 0.0, 40)):
        select = gate.select_samples if isinstance(gate, SampleGate) else gate.select
        assert torch.equal(select(table)[1], select(table)[1])


@pytest.mark.parametrize("chosen", [0, 7])
def test_gates_that_somebody_trained_are_used_as_they_stand(table, chosen):
    """0.6.2 drew even from trained gates, unless they were switched to evaluation."""
    gate = SampleGate(len(table), 20)
    with torch.no_grad():
        gate.gates.qz_logits.copy_(torch.linspace(-1, 1, 400).roll(chosen))
    expected = gate.gates.qz_logits.topk(20).indices.sort().values
    assert torch.equal(gate.select_samples(table)[1], expected)


def test_the_number_of_features_is_the_number_asked_for(table):
    """0.6.2 drew a gate for each column and returned those that came up."""
    for most in range(1, 13):
        selected, columns = FeatureGate(12, most).select_features(table)
        assert len(columns) == most
        assert torch.equal(selected, table[:, columns])


def test_trained_features_are_the_best_ones(table):
    """0.6.2 drew even from trained gates."""
    gate = FeatureGate(12, 4)
    with torch.no_grad():
        gate.gates.qz_logits.copy_(torch.linspace(0.3, -0.3, 12))
    assert gate.select_features(table)[1].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("shares", [(0.25, 0.75), (0.5, 0.5), (1.0, 0.0)])
def test_a_hybrid_returns_its_number_in_its_shares(table, shares):
    """0.6.2 drew the learned part at random in number, and rounded both parts down."""
    for target in (8, 50, 101, 400):
        selected, indices, types = HybridGate(len(table), *shares, target).select(table, 1)
        assert len(selected) == len(indices.unique()) == len(types) == target
        assert abs((types == "l0").sum() - shares[0] * target) <= 0.5
        assert torch.equal(selected, table[indices])


# Networks


def test_a_depthwise_convolution_can_be_pruned():
    """0.6.2 looked for its weight in the wrong place and raised an AttributeError."""
    layer = L0DepthwiseConv2d(4, 3)
    with torch.no_grad():
        layer.channel_gates.qz_logits.copy_(torch.tensor([9.0, -9.0, 9.0, -9.0]))
    prune_model(layer)
    zero = (layer.depthwise_conv.weight == 0).flatten(1).all(dim=1)
    assert zero.tolist() == [False, True, False, True]


def test_weight_decay_leaves_the_gates_alone():
    """0.6.2 took `weight_gates.qz_logits` for a weight and drew every gate to one half."""
    layer = L0Linear(3, 2, init_sparsity=0.01)
    torch.testing.assert_close(compute_l2_penalty(layer), layer.weight.square().sum())


def test_active_weights_are_weights_in_channels_too():
    """0.6.2 counted open channels beside the total number of weights."""
    layer = L0Conv2d(3, 4, 3, structured=True, init_sparsity=1e-6)
    (stats,) = get_sparsity_stats(layer).values()
    assert stats["active_params"] == pytest.approx(stats["total_params"], rel=1e-4)


def test_active_weights_are_rounded_once():
    """0.6.2 cut the expected number of every layer down to a whole one: to 0 here."""
    model = torch.nn.Sequential(*(L0Linear(1, 1) for _ in range(10)))
    assert get_active_parameter_count(model) == 8  # 10 times 0.77


def test_a_new_temperature_reaches_everything_that_shows_it():
    """0.6.2 left the `temperature` of the gate around the gates as it was."""
    gate = SampleGate(10, 5)
    update_temperatures(gate, 0.9)
    assert gate.temperature == gate.gates.temperature == 0.9


def test_a_perceptron_takes_images_in_any_layout():
    """0.6.2 raised a RuntimeError about strides."""
    images = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    model = SparseMLP(60, 4, 2).eval()
    assert torch.equal(model(images), model(images.contiguous()))


def test_histories_of_different_lengths_can_be_saved(tmp_path):
    """0.6.2 raised a ValueError at the end of the run, and wrote nothing."""
    tracker = PenaltyTracker()
    for epoch in range(3):
        tracker.log("loss", 0.5 * epoch)
    tracker.log("sparsity", 0.25)
    tracker.save_to_csv(str(tmp_path / "log.csv"))
    frame = pd.read_csv(tmp_path / "log.csv")
    assert frame["loss"].tolist() == [0.0, 0.5, 1.0]
    assert frame["sparsity"].dropna().tolist() == [0.25]


# The state of a model


def test_a_copy_goes_on_like_the_original(job):
    """0.6.2's copies drew from the one global generator, and started Adam anew."""
    model = calibration(log_weight_jitter_sd=0.05).fit(*job, epochs=5)
    twin = copy.deepcopy(model)
    torch.rand(1)
    assert torch.equal(model.fit(*job, epochs=5).log_alpha, twin.fit(*job, epochs=5).log_alpha)
