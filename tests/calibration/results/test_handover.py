import re

import numpy as np
import pandas as pd
import pyarrow.csv
import pyarrow.parquet
import pytest

from l0.calibration.results.handover import repetitions, replicate_files
from l0.calibration.results.replicate_weights import attach
from l0.calibration.variance.replicates import Replicates
from tests.calibration.results.test_result import solve
from tests.calibration.variance.samples import with_replicates


@pytest.fixture(scope="module")
def result():
    return with_replicates(solve(), n_groups=80)


def test_a_result_without_replicates_has_no_files_of_them(tmp_path):
    result = solve()
    assert replicate_files(result.tables, result.run) == {}
    result.save(tmp_path / "out")
    assert not list((tmp_path / "out").glob("*replicates*"))


def test_the_files_have_the_weights_and_the_replicates(result, tmp_path):
    result.save(tmp_path / "out")
    for table in (
        pyarrow.csv.read_csv(tmp_path / "out" / "replicates.csv"),
        pyarrow.parquet.read_table(tmp_path / "out" / "replicates.parquet"),
    ):
        assert table.column_names == ["key", "weight", *(f"rw{place}" for place in range(1, 82))]
        assert table.select(["key", "weight"]) == result.weights
        assert table.column("rw81") == result.replicate_weights.column("rw81")


def test_repeated_columns_stand_for_factors(result, tmp_path):
    result.save(tmp_path / "out")
    frame = pd.read_csv(tmp_path / "out" / "replicates_jk1.csv").filter(like="rw").to_numpy()
    assert frame.shape[1] == 84
    x = np.random.default_rng(0).lognormal(0, 1, len(frame))
    deviations = x @ frame - x @ result.values
    mine = result.variance(lambda w: x @ w).standard_error
    assert np.sqrt(83 / 84 * (deviations**2).sum()) == pytest.approx(mine, rel=0.006)
    text = (tmp_path / "out" / "how_to_read_replicates.md").read_text(encoding="utf-8")
    assert "differ from those above by at most\n0.6%" in text


@pytest.mark.parametrize("rscales", [[0.05] * 20, [0.0, 1.0, 1.0], [1.5, 1.0, 0.9]])
def test_other_factors_have_no_such_form(rscales):
    assert repetitions(np.array(rscales)) is None
    result = solve()
    columns = np.repeat(result.values[:, None], len(rscales), axis=1)
    result = attach(result, Replicates(columns, rscales, "BRR"))
    files = replicate_files(result.tables, result.run)
    assert list(files) == ["replicates.parquet", "replicates.csv", "how_to_read_replicates.md"]
    assert "jk1" not in files["how_to_read_replicates.md"]


def test_each_snippet_has_the_factors_and_the_deviations_from_the_main_estimate(result):
    text = replicate_files(result.tables, result.run)["how_to_read_replicates.md"]
    snippets = re.findall(r"## (.*?)\n\n```\w+\n(.*?)```", text, re.DOTALL)
    assert [title for title, _ in snippets] == [
        "R, package survey", "R, package srvyr", "Python, package svy", "Python, package samplics",
        "Stata", "SAS",
    ]  # fmt: skip
    centre = {
        "R, package survey": "mse = TRUE", "R, package srvyr": "mse = TRUE",
        "Python, package svy": 'variance_center="estimate"',
        "Python, package samplics": "conservative=True", "Stata": " mse ",
    }  # fmt: skip
    for title, code in snippets:
        assert "0.9875" in code and "4.0" in code and "key" in code + text[:500], title
        assert centre.get(title, "") in code, title


def test_keys_of_text_are_read_as_text():
    text = [f"{row:03}" for row in range(120)]
    for keys, asked in ((text, True), (list(range(120)), False)):
        result = with_replicates(solve(keys=keys))
        page = replicate_files(result.tables, result.run)["how_to_read_replicates.md"]
        assert ("colClasses" in page) == ("stringcols" in page) == ("dtype" in page) == asked
