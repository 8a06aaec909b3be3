import pytest

from tests.calibration import problems


def test_the_full_file_is_there_where_it_was_fitted():
    with_it = problems.context(problems.problem(), epochs=4, full_file=True)
    assert with_it.full_file.shape == (with_it.problem.n_records,)
    assert with_it.full_file is with_it.reference


def test_a_selector_that_said_it_needs_none_is_told():
    with pytest.raises(RuntimeError, match="needs_full_file"):
        _ = problems.context(problems.problem()).full_file
