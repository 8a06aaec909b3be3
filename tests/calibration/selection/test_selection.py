"""What holds for every selector."""

import dataclasses
import random

import numpy as np
import pytest
import torch

from l0.calibration import SELECTORS, CalibrationProblem, HardConcreteGates, Hybrid, Path, Selector
from l0.calibration.selection import get_selector
from l0.calibration.selection.balanced import Balanced
from l0.common.errors import InputError
from tests.calibration import problems

every_selector = pytest.mark.parametrize("method", SELECTORS)


def solve(given, method, n_records=60, **options):
    return CalibrationProblem.from_matrix(**given).solve(
        n_records, method, **{"epochs": 60, **options}
    )


def assert_same(one, other, rtol):
    """The same records with the same weights, to within a tolerance."""
    ours, theirs = problems.weights_by_key(one), problems.weights_by_key(other)
    assert set(ours) == set(theirs)
    np.testing.assert_allclose(
        [ours[key] for key in ours], [theirs[key] for key in ours], rtol=rtol
    )


# Exactly k


@every_selector
@pytest.mark.parametrize("bounds", [None, (0.2, 400)])
@pytest.mark.parametrize("k", [1, 2, 100, 299, 300])
def test_exactly_k_positive_weights(method, k, bounds):
    result = solve(problems.parts(), method, k, bounds=bounds, epochs=24)
    assert len(result.indices) == len(set(result.indices.tolist())) == k
    assert np.isfinite(result.values).all()
    assert (result.values > 0).all()
    assert result.metrics["n_records"] == k
    ratio = result.values / result.tables["weights"].column("design_weight").to_numpy()
    assert ratio.min() > 1e-5
    if bounds is not None:
        assert bounds[0] <= ratio.min()
        assert ratio.max() <= bounds[1]


@every_selector
def test_a_budget_that_few_targets_do_not_need_is_used_all_the_same(method):
    given = problems.parts(n=500, m=3)
    result = solve(given, method, 100)
    assert len(set(result.indices.tolist())) == 100
    assert result.metrics["loss"] < 0.01
    ratio = result.values / given["weights"][result.indices]
    assert ratio.min() > 1e-5


@every_selector
def test_one_record_and_one_target(method):
    problem = CalibrationProblem.from_matrix([[2.0]], [10.0], [3.0])
    result = problem.solve(1, method, loss="relative")
    assert result.indices.tolist() == [0]
    assert result.values[0] == pytest.approx(5, rel=0.1)


@every_selector
def test_records_that_no_target_asks_for_are_no_obstacle(method):
    given = problems.parts()
    given["A"] = given["A"].multiply(np.arange(300) % 3 == 0).tocsr()
    given["values"] = given["A"] @ given["weights"]
    for k in (30, 200):
        result = solve(given, method, k)
        assert len(set(result.indices.tolist())) == k
        assert (result.values > 0).all()


# Invariances


@every_selector
def test_the_order_of_the_records_does_not_matter(method):
    given = problems.parts()
    order = np.random.default_rng(1).permutation(300)
    shuffled = {
        **given,
        "A": given["A"][:, order],
        "weights": given["weights"][order],
        "keys": given["keys"][order],
    }
    one, other = solve(given, method), solve(shuffled, method)
    assert_same(one, other, 1e-6)
    np.testing.assert_array_equal(np.sort(order[other.indices]), one.indices)
    assert one.run["problem_sha256"] == other.run["problem_sha256"]


@every_selector
def test_the_order_of_the_targets_does_not_matter(method):
    given = problems.parts()
    order = np.random.default_rng(1).permutation(20)
    shuffled = {
        **given,
        "A": given["A"][order],
        "values": given["values"][order],
        "names": [given["names"][row] for row in order],
    }
    one, other = solve(given, method), solve(shuffled, method)
    assert_same(one, other, 1e-6)
    assert other.tables["targets"].column("name").to_pylist() == shuffled["names"]


@every_selector
def test_the_unit_of_a_target_does_not_matter(method):
    given = problems.parts()
    unit = np.where(np.arange(20) % 4 == 0, 1000.0, 1.0)
    scaled = {
        **given,
        "A": given["A"].multiply(unit[:, None]).tocsr(),
        "values": given["values"] * unit,
    }
    assert_same(solve(given, method), solve(scaled, method), 1e-3)


@every_selector
def test_the_scale_of_weights_and_values_does_not_matter(method):
    given = problems.parts()
    scaled = {**given, "values": given["values"] * 1000, "weights": given["weights"] * 1000}
    one, other = solve(given, method), solve(scaled, method)
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_allclose(one.values * 1000, other.values, rtol=1e-3)


@every_selector
def test_targets_given_twice_count_as_if_given_once(method):
    given = problems.parts(m=6)
    twice = {
        **given,
        "A": np.repeat(given["A"].toarray(), 2, axis=0),
        "values": np.repeat(given["values"], 2),
        "names": [name + copy for name in given["names"] for copy in "ab"],
    }
    one, other = solve(given, method), solve(twice, method)
    if method not in ("hybrid", "cube"):  # their draws use an order that the targets make
        assert len(set(one.indices) & set(other.indices)) >= 0.9 * len(one.indices)
    assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], abs=1e-3)


# Random numbers


@every_selector
def test_a_seed_gives_identical_bits(method):
    given = problems.parts()
    one, other = solve(given, method, seed=7), solve(given, method, seed=7)
    np.testing.assert_array_equal(one.indices, other.indices)
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.parametrize("method", ["hybrid", "random", "pps", "cube"])
def test_another_seed_gives_another_draw(method):
    given = problems.parts()
    one, other = solve(given, method, seed=0), solve(given, method, seed=1)
    assert set(one.indices) != set(other.indices)


@every_selector
def test_the_global_generators_are_left_alone(method):
    def states():
        state = np.random.get_state()  # noqa: NPY002
        return random.getstate(), state[1].tolist(), state[2], torch.get_rng_state().tolist()

    before = states()
    one = solve(problems.parts(), method, epochs=16)
    assert states() == before
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    other = solve(problems.parts(), method, epochs=16)
    np.testing.assert_array_equal(one.values, other.values)


# The registry


@pytest.mark.parametrize("method", ["hybird", "", None, 3, ["path"], Hybrid])
def test_an_unknown_method_lists_the_known_ones(method):
    text = r"`method` is .*one of 'hybrid', 'path', 'hard_concrete', 'random', 'pps', 'cube'"
    with pytest.raises(InputError, match=text):
        solve(problems.parts(), method)


@every_selector
def test_every_selector_follows_the_protocol(method):
    assert isinstance(get_selector(method), Selector)


def test_a_selector_may_be_given_as_an_object():
    selector = Hybrid(share=0.5, path=Path(depth=4))
    assert get_selector(selector) is selector
    result = solve(problems.parts(), selector)
    assert len(result.indices) == 60
    assert result.run["arguments"]["method"].startswith("Hybrid(share=0.5")


# Settings

EVERY_CLASS = [*{type(make()): None for make in SELECTORS.values()}, Balanced]
FIELDS = [(kind, field) for kind in EVERY_CLASS for field in dataclasses.fields(kind)]


@pytest.mark.parametrize(
    ("kind", "field"), FIELDS, ids=lambda part: getattr(part, "__name__", None) or part.name
)
@pytest.mark.parametrize("value", ["x", "0.5", None, True, False, -1, np.nan, np.inf, 1j, [0.5]])
def test_every_setting_has_a_range(kind, field, value):
    with pytest.raises(InputError, match=f"^`{field.name}` must be"):
        kind(**{field.name: value})


@pytest.mark.parametrize(
    ("kind", "name", "bad", "good"),
    [
        (Hybrid, "share", [2, 1.0001], [0, 1]),
        (Hybrid, "per_target", [-0.1], [0, 3]),
        (Hybrid, "damping", [0, 1.1], [0.5, 1]),
        (Hybrid, "start", [0, 1.1], [0.5, 1]),
        (Hybrid, "overshoot", [0], [0.1, 100]),
        (Hybrid, "path", [Path, Hybrid(), "path"], [Path(depth=4)]),
        (Path, "depth", [1, 0, 2.5, 4.0], [2, 3, np.int64(4)]),
        (Path, "growth", [1, 0.5], [1.01, 3]),
        (Path, "penalty", [0], [1e-3]),
        (Path, "step_share", [0], [0.01, 2]),
        (Path, "threshold", [0, 1.1], [1e-6, 0.1]),
        (Path, "rebuild", [1.1], [0, 1]),
        (HardConcreteGates, "easing", [0, 1.1], [0.1, 1]),
        (HardConcreteGates, "init_mean", [0, 1], [0.01, 0.999]),
        (HardConcreteGates, "temperature", [0], [0.1, 2]),
        (Balanced, "sweeps", [0.5], [0, 3]),
    ],
)
def test_the_ranges_of_settings(kind, name, bad, good):
    for value in bad:
        with pytest.raises(InputError, match=f"^`{name}` must be"):
            kind(**{name: value})
    problem = problems.problem(n=60, m=6)
    for value in good:
        selector = kind(**{name: value})
        assert getattr(selector, name) == value
        assert len(problem.solve(12, selector, epochs=8).indices) == 12


def test_settings_are_kept_as_plain_numbers():
    selector = Hybrid(share=np.float32(0.5), path=Path(depth=np.int64(4)))
    assert type(selector.share) is float and type(selector.path.depth) is int
    call = problems.problem().solve(9, selector, epochs=4).run["call"]
    assert "Hybrid(share=0.5," in call and "Path(depth=4," in call
