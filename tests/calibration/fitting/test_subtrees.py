import numpy as np
import pytest
import scipy.sparse as sp

from l0.calibration.fitting import dissection, nested_normal
from l0.calibration.fitting.dissection import dissect
from l0.calibration.fitting.nested_normal import NestedNormalMatrix
from l0.calibration.fitting.nesting import Nesting
from l0.calibration.fitting.scaled_matrix import ScaledMatrix
from l0.calibration.fitting.subtrees import Subtrees
from l0.common.ranks import ONE
from tests.calibration.fitting.matrices import nested
from tests.thread_ranks import on_ranks


@pytest.fixture
def system(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    rng = np.random.default_rng(0)
    matrix = nested(rng, states=5, districts=4, k=2_000)
    m, k = matrix.shape
    d, e, right = rng.lognormal(0, 1, k), rng.lognormal(0, 1, m), rng.normal(size=m)
    of = ScaledMatrix.of(matrix)
    root, _ = dissect(matrix, of.transpose)
    assert len(root.in_order()) > 5
    return of, Nesting.of(root, matrix, of.transpose).fronts, d, e, right


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("width", [None, 1, 3])
def test_any_number_of_ranks_gives_the_same_bits(system, size, width):
    of, fronts, d, e, right = system
    if width is not None:
        right = right[:, None] * np.arange(1, width + 1)
    alone = NestedNormalMatrix(of, fronts).factor(d, e)(right)
    for found in on_ranks(
        size, lambda ranks: NestedNormalMatrix(of, fronts, ranks).factor(d, e)(right)
    ):
        assert found.tobytes() == alone.tobytes()


def test_a_subtree_that_leaves_nothing_over_needs_no_other_rank(monkeypatch):
    monkeypatch.setattr(dissection, "SMALL", 0)
    rng = np.random.default_rng(0)
    # A target without records is a block of its own, and meets none of the others.
    matrix = sp.vstack([nested(rng, k=500), sp.csr_array((1, 500))], format="csr")
    m, k = matrix.shape
    d, e, right = rng.lognormal(0, 1, k), rng.lognormal(0, 1, m), rng.normal(size=m)
    of = ScaledMatrix.of(matrix)
    root, _ = dissect(matrix, of.transpose)
    assert m - 1 in np.concatenate([child.rows for child in root.children])
    fronts = Nesting.of(root, matrix, of.transpose).fronts
    alone = NestedNormalMatrix(of, fronts).factor(d, e)(right)
    for found in on_ranks(
        2, lambda ranks: NestedNormalMatrix(of, fronts, ranks).factor(d, e)(right)
    ):
        assert found.tobytes() == alone.tobytes()


def test_a_rank_without_a_factor_ends_all(system, monkeypatch):
    of, fronts, d, e, _ = system
    factored = nested_normal.spotrf
    calls = iter([1])

    def failing_once(front):
        return factored(front) or next(calls, 0)

    monkeypatch.setattr(nested_normal, "spotrf", failing_once)
    monkeypatch.setattr(nested_normal, "RIDGES", nested_normal.RIDGES[:1])
    for found in on_ranks(3, lambda ranks: NestedNormalMatrix(of, fronts, ranks).factor(d, e)):
        assert isinstance(found, np.linalg.LinAlgError)


#: A root, 13, with three subtrees: 2 with the children 0 and 1; 11 with 3 to 10; and 12.
CHILDREN = [[], [], [0, 1], *([] for _ in range(8)), list(range(3, 11)), [], [2, 11, 12]]


@pytest.mark.parametrize("size", [2, 3, 4])
def test_each_front_has_one_owner_and_its_children_go_with_it(size):
    costs = np.ones(len(CHILDREN))
    divided = on_ranks(size, lambda ranks: Subtrees(ranks, CHILDREN, costs))
    above = set(divided[0].above)
    assert len(CHILDREN) - 1 in above
    owned = [number for each in divided for number in each.mine]
    assert sorted([*owned, *above]) == list(range(len(CHILDREN)))
    for each in divided:
        assert set(each.above) == above
        assert set(each.owned) == set(owned)
        assert set(each.of_others) == set(owned) - set(each.mine)
        assert not {
            parent for parent, below in enumerate(CHILDREN) if set(below) & set(each.tops)
        } & set(owned)
        assert each.mine == sorted(each.mine)
        for number in each.mine:
            assert set(CHILDREN[number]) <= set(each.mine)
    most = max(len(each.mine) for each in divided)
    assert most <= 2 * len(owned) / size


def test_a_single_process_eliminates_all_fronts_itself():
    divided = Subtrees(ONE, [[], [], [0, 1]], np.ones(3))
    assert (divided.mine, divided.above, divided.of_others) == ([], [0, 1, 2], [])
