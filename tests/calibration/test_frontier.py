import pandas as pd

from l0.calibration import CalibrationProblem, Frontier, calibrate, frontier


def test_it_is_the_frontier_of_the_problem_of_its_tables(survey):
    options = survey.options()
    front = frontier(**options, n_records=[200, 50], epochs=16)
    assert isinstance(front, Frontier)
    assert isinstance(front.to_frame(), pd.DataFrame)
    same = CalibrationProblem.from_frames(**options).frontier([50, 200], epochs=16)
    columns = [name for name in front.table.column_names if name != "seconds"]
    assert front.table.select(columns).equals(same.table.select(columns))


def test_the_method_is_the_default_of_calibrate_or_the_one_given(survey):
    options = survey.options()
    for method, given in (("hybrid", {}), ("random", {"method": "random"})):
        (row,) = frontier(**options, n_records=[50], epochs=16, **given).table.to_pylist()
        alone = calibrate(**options, n_records=50, method=method, epochs=16).metrics
        assert {**row, "seconds": None} == {**alone, "seconds": None}
