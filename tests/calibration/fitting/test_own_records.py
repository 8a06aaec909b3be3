import dataclasses

import numpy as np
import pytest
import torch

from l0.calibration.fitting import own_records
from l0.calibration.fitting.own_records import OwnRecords
from tests.calibration import problems
from tests.calibration.fitting.matrices import problem_to_share
from tests.thread_ranks import on_ranks


@pytest.fixture
def objective(monkeypatch):
    objective = problems.context(problem_to_share(monkeypatch)).objective
    assert objective.nesting is not None  # found once for all ranks
    return objective


def on_each(size, objective, function):
    """Call a function with the objective of each rank, and give what it gave; raise its errors."""
    found = on_ranks(size, lambda ranks: function(dataclasses.replace(objective, ranks=ranks)))
    for each in found:
        if isinstance(each, Exception):
            raise each
    return found


def products(objective, records, cuts):
    """Compute estimates and gradients of some ratios, also after cuts; tell if shared."""
    own = OwnRecords(objective, records, len(records))
    found, shared = [], []
    for cut in [np.arange(len(records)), *cuts]:
        own.cut(cut)
        rng = np.random.default_rng(len(cut))
        ratios = rng.lognormal(size=len(cut)).astype(np.float32)
        pull = torch.from_numpy(rng.normal(size=objective.nesting.shape[0]).astype(np.float32))
        x = torch.from_numpy(own.part_of(ratios)).requires_grad_()
        y = own.estimates(x)
        (gradient,) = torch.autograd.grad(pull @ y, x)
        found += [own.records, y.detach().numpy(), own.joined(gradient.numpy())]
        shared.append(len(own.places) < len(own.records))
    return found, shared


@pytest.mark.parametrize("share", [1.0, 0.7])
@pytest.mark.parametrize("size", [2, 3])
def test_any_number_of_ranks_gives_the_same_bits(size, share, objective):
    rng = np.random.default_rng(1)
    records = np.flatnonzero(rng.random(3_000) < share)
    cuts, left = [], len(records)
    for kept in (0.8, 0.6, 0.1):
        cuts.append(np.flatnonzero(rng.random(left) < kept))
        left = len(cuts[-1])
    alone, _ = products(objective, records, cuts)
    for found, shared in on_each(size, objective, lambda each: products(each, records, cuts)):
        # The last has too few entries for each column.
        assert shared == [True, True, True, False]
        assert [each.tobytes() for each in found] == [each.tobytes() for each in alone]


@pytest.mark.parametrize("size", [1, 2, 3])
def test_each_record_is_of_one_rank_and_numbers_go_there_and_back(size, objective):
    records = np.arange(0, 3_000, 2)
    numbers = np.random.default_rng(0).normal(size=len(records) + 4)

    def parts(each):
        own = OwnRecords(each, records, len(records))
        part = own.part_of(numbers)
        assert (np.diff(own.places) > 0).all()
        np.testing.assert_array_equal(part[: len(own.places)], numbers[own.places])
        assert not part[len(own.places) : own.room].any()
        np.testing.assert_array_equal(part[own.room :], numbers[-4:])
        np.testing.assert_array_equal(own.joined(part), numbers)
        return own.places

    places = on_each(size, objective, parts) if size > 1 else [parts(objective)]
    assert all(0.5 < len(each) * size / len(records) < 1.5 for each in places)
    np.testing.assert_array_equal(np.sort(np.concatenate(places)), np.arange(len(records)))


def test_a_rank_has_all_records_where_targets_are_not_nested():
    objective = problems.context(problems.problem()).objective
    n = objective.problem.n_records
    for places in on_each(2, objective, lambda each: OwnRecords(each, np.arange(n), n).places):
        np.testing.assert_array_equal(places, np.arange(n))


@pytest.mark.parametrize("is_same", [True, False])
def test_with_several_threads_the_rows_of_both_layouts_decide(is_same, objective, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    judged = []
    monkeypatch.setattr(
        own_records, "have_one_order", lambda lengths: judged.append(lengths.tolist()) or is_same
    )
    kept = np.flatnonzero(np.random.default_rng(0).random(3_000) < 0.8)

    def layouts(each):
        own = OwnRecords(each, np.arange(3_000), 3_000)
        own.cut(kept)
        assert (len(own.places) < len(kept)) == (is_same and each.ranks.size > 1)
        columns = own._operator._columns
        return [
            np.diff(rows._host.indptr).tolist() for rows in (columns._matrix, columns._transpose)
        ]

    for found in [*on_each(2, objective, layouts), layouts(objective)]:
        assert not is_same or all(lengths in judged for lengths in found)
