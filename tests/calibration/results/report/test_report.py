import html
import json
import re
import time
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

import l0
from l0.calibration import CalibrationProblem, Hybrid, Path, Random
from l0.calibration.results.report.report import render
from l0.calibration.results.result import CalibrationResult
from l0.calibration.results.summary import certificate
from l0.common.formatting import percent
from tests.calibration.results.report.browser import (
    NASTY,
    browse,
    told,
    width_in_a_window,
    words,
)
from tests.calibration.results.report.example import problem, rendered


def test_the_three_numbers_stand_together(result, page):
    m = result.metrics
    ess = f"{m['effective_sample_size']:.0f}"
    three = (
        f"Loss {percent(m['loss'])} Untargeted {percent(m['untargeted_capped_error'])} ESS {ess}"
    )
    assert words(page).count(three) == 2


def test_the_words_say_what_was_kept_hit_and_lost(result, page):
    text = words(page)
    assert "keeps 30 of 120 records (25%)" in text
    assert "2 targets are out of reach of any weights" in text
    assert f"within 10% it is {percent(result.metrics['within_10pct'])}" in text
    assert "5 statistics that are held out" in text
    assert "The fit was trained on" not in text
    assert "no record behind it" in text


def test_the_certificate_stands_in_the_page(result, page):
    text = words(page)
    assert certificate(result.metrics) in text
    assert result.metrics["fit_status"] == "optimal"  # two targets are out of reach
    assert "a lower bound on all possible values" in text
    exact = problem(untargeted=False).solve()
    text = words(render({**exact.metrics, "fit_status": "exact"}, exact.run, exact.tables))
    assert "All targets are met exactly, by the closest weights." in text
    assert "a lower bound on all possible values" not in text


def test_the_notes_stand_above_all_words(result):
    run = {**result.run, "notes": ["The fit stopped", "<b>2</b> of 5, pass `bounds`"]}
    page = render(result.metrics, run, result.tables)
    assert "The fit stopped <b>2</b> of 5, pass bounds The file keeps" in words(page)
    assert "<code>bounds</code>" in page
    assert 'class="notes"' not in render(result.metrics, {**run, "notes": []}, result.tables)


def test_the_gap_is_drawn_where_it_is_known(result):
    history = result.tables["history"]
    nowhere = history.set_column(
        history.column_names.index("gap"), "gap", pa.nulls(len(history), pa.float64())
    )
    page = render(result.metrics, result.run, {**result.tables, "history": nowhere})
    assert "Duality gap of the fits" not in page
    known = nowhere.set_column(
        history.column_names.index("gap"), "gap", pa.array(np.geomspace(1, 1e-5, len(history)))
    )
    page = render(result.metrics, result.run, {**result.tables, "history": known})
    assert "Duality gap of the fits along the run" in page
    assert "Iterations and epochs" in page


def test_negative_weights_are_counted_and_not_drawn():
    A = np.vstack([np.ones(50), np.arange(50.0)])
    result = CalibrationProblem.from_matrix(A, [5000, 25_000], np.full(50, 100.0)).solve(
        distance="linear"
    )
    negative = int((result.values < 0).sum())
    assert f"{negative} weights are negative, and not in the chart" in words(rendered(result))


def test_shares_of_negative_weights_and_one_effective_record_are_said():
    A = np.array([[1.0] * 6, [1, 2, 3, 4, 5, 6]])
    few = CalibrationProblem.from_matrix(A, [60, 350], np.full(6, 10.0))
    result = few.solve(distance="linear", exact=True)
    smallest = result.values.min() / result.values.sum()
    assert smallest < -0.1
    text = words(rendered(result))
    assert f" {percent(smallest)} " in text and " <0.001% The run" not in text
    one = {**result.metrics, "effective_sample_size": 1.2}
    assert "as precise as 1 record." in words(render(one, result.run, result.tables))


def test_names_and_keys_stay_text(page):
    assert "<script>alert" not in page
    assert words(page).count(f"target 0 {NASTY}") >= 1


def test_nothing_is_loaded_from_anywhere(page):
    assert "http:" not in page and "https:" not in page
    assert not re.search(r"\bsrc=|@import|url\(|<link(?! rel=\"icon\" href=\"data:,\")", page)


def test_a_saved_result_gives_the_same_page(result, page, tmp_path):
    result.save(tmp_path / "run")
    assert (tmp_path / "run" / "report.html").read_text(encoding="utf-8") == page
    assert rendered(CalibrationResult.load(tmp_path / "run")) == page


def test_all_records_kept():
    text = words(rendered(problem().solve(epochs=20)))
    # One target is 0, and all its entries are positive.
    assert "The file keeps all 43 records that can have a weight above zero" in text
    assert "77 records have the weight 0, which a target of value 0 forces" in text
    assert "all records are kept, and smaller files are compared with this one" in text


def test_one_record_kept():
    assert "keeps 1 of 120 records" in words(rendered(problem().solve(1, method="pps", epochs=2)))


def test_the_call_in_the_page_repeats_the_run(tmp_path):
    rng = np.random.default_rng(1)
    records = pa.table(
        {"id": range(60), "w": rng.uniform(1, 9, 60), "sex": rng.choice(["f", "m"], 60)}
    )
    targets = pa.table({"variable": ["count"] * 2, "sex": ["f", "m"], "value": [200.0, 150.0]})
    people = pa.table({"id": np.repeat(range(60), 2), "age": ["old", "young"] * 60})
    tables = {"records": records, "targets": targets, "people": people}
    for name, table in tables.items():
        pa.csv.write_csv(table, tmp_path / f"{name}.csv")
    first = l0.calibrate(
        tmp_path / "records.csv", tmp_path / "targets.csv",
        members={"records": tmp_path / "people.csv"},  # a name that must not hide the records
        key="id", weight="w", n_records=20, bounds=(0.1, 50), seed=3, epochs=10,
    )  # fmt: skip
    room = {}
    exec(call_of(rendered(first)), room)  # noqa: S102 - that it runs is the point
    np.testing.assert_array_equal(room["result"].values, first.values)
    np.testing.assert_array_equal(room["result"].indices, first.indices)


@dataclass(frozen=True)
class Mine:
    """A user's own selector."""

    depth: int = 3

    def select(self, task, n_records):
        return Random().select(task, n_records)


class Plain(Mine):
    def __repr__(self):
        return "Plain\nobject"


def call_of(page):
    return html.unescape(re.search(r"(?s)<pre[^>]*><code>(.*?)</code>", page).group(1))


@pytest.mark.parametrize(
    "method",
    [
        "path",
        Random(),
        Hybrid(share=0.5, path=Path(depth=4)),
        Mine(),
        Plain(),
    ],
    ids=lambda method: repr(method).split()[0],
)
def test_the_call_in_the_page_has_the_selector(method):
    run = problem().solve(10, method, epochs=2)
    call = call_of(rendered(run)).replace("problem.solve(", "dict(")
    room = {"method": "mine"}
    exec(call, room)  # noqa: S102 - that it runs is the point
    foreign = "Mine" in repr(method) or "Plain" in repr(method)
    assert room["result"]["method"] == ("mine" if foreign else method)
    assert ("an object of your own" in call) == foreign


def large(n_targets=32_000, n_statistics=20_000, n_records=57_000):
    """A result of the size of the largest published surfaces, without the fit."""
    rng = np.random.default_rng(0)
    value, relative = rng.lognormal(8, 2, n_targets), rng.normal(0, 0.1, n_targets)
    statistic, error = rng.lognormal(8, 2, n_statistics), rng.normal(0, 0.3, n_statistics)
    texts = {"status": "met", "reason": ""}
    tables = {
        "weights": pa.table(
            {"id": range(n_records), "weight": rng.lognormal(5, 1, n_records),
             "design_weight": rng.lognormal(4, 1, n_records)}
        ),
        "targets": pa.table(
            {"name": [f"a rather long name of target {i}" for i in range(n_targets)],
             "value": value, "estimate": value * (1 + relative), "error": value * relative,
             "relative_error": relative, "group": [f"group {i % 900}" for i in range(n_targets)],
             **{name: [text] * n_targets for name, text in texts.items()},
             "importance": np.full(n_targets, 1 / n_targets), "design_estimate": value * 1.2,
             "shadow_price": relative, "at_limit": relative > 0.2,
             "design_relative_error": np.full(n_targets, 0.2)}
        ),
        "untargeted": pa.table(
            {"statistic": [f"statistic {i}" for i in range(n_statistics)],
             "variable": [f"v{i % 200}" for i in range(n_statistics)],
             "by": [f"b{i % 90}" for i in range(n_statistics)], "reference": statistic,
             "estimate": statistic * (1 + error), "relative_error": error,
             "effective_n": rng.lognormal(7, 1, n_statistics),
             "held_out": [True] * n_statistics, "trained": [False] * n_statistics}
        ),
        "history": pa.table(
            {"stage": ["select"] * 60, "iteration": range(1, 61), "n_records": range(60, 0, -1),
             "loss": np.linspace(0.5, 0.1, 60), "gap": [None, *np.geomspace(1, 1e-6, 59)],
             "seconds": np.arange(60.0)}
        ),
    }  # fmt: skip
    small = problem().solve(30, epochs=2)
    return CalibrationResult(
        np.arange(n_records), {**small.metrics, "n_targets": n_targets}, small.run, tables
    )


def test_a_large_result_is_a_small_file_and_takes_no_time():
    result = large()
    started = time.process_time()
    page = rendered(result)
    assert time.process_time() - started < 3
    assert len(page.encode()) < 5e6
    assert len(rendered(large(2_000)).encode()) < 1e6
    assert "60 of 900 groups" in words(page)


def test_in_a_browser_the_scripts_run_and_nothing_complains(page, tmp_path):
    document, complaints = browse(page, tmp_path)
    assert complaints == []
    assert "keeps 30 of 120 records" in words(document)
    assert 'id="tip"' in document  # the last thing the script makes
    assert '<button type="button">Mean error after</button>' in document


def test_a_console_error_would_be_seen(page, tmp_path):
    broken = page.replace('"use strict";', "nothing.of.this.kind;")
    assert browse(broken, tmp_path)[1]


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_is_wider_than_the_window(page, width, tmp_path):
    assert width_in_a_window(page, width, tmp_path) <= width


#: Presses the controls, and leaves on the body what the table says then.
PRESS = """
const box = document.getElementById("targets-table"), seen = {};
const count = () => box.querySelector(".count").textContent;
const [group, flag, status] = [...box.querySelectorAll(".tools select")];
const choose = (select, start) => {
  select.value = [...select.options].find((each) => each.textContent.startsWith(start)).value;
  select.dispatchEvent(new Event("change"));
};
seen.all = count();
const search = box.querySelector("input[type=search]");
search.value = "target 5"; search.dispatchEvent(new Event("input"));
seen.search = count();
[...box.querySelectorAll(".tools button")].find((each) => each.textContent === "Show all").click();
choose(status, "unreachable");
seen.unreachable = count();
choose(status, "All");
choose(group, "plain");
seen.group = count();
choose(group, "All");
box.querySelector("th[data-key=value] button").click();
seen.largest = box.querySelector("tbody th").firstChild.textContent;
box.querySelector("th[data-key=value] button").click();
seen.order = box.querySelector("th[data-key=value]").getAttribute("aria-sort");
seen.file = box.dataTable.csv().split("\\n")[0];
seen.rows = box.dataTable.csv().trim().split("\\n").length;
document.body.dataset.told = JSON.stringify(seen);
"""


def test_in_a_browser_all_targets_are_searched_filtered_sorted_and_downloaded(
    result, page, tmp_path
):
    seen = json.loads(told(page, PRESS, tmp_path))
    targets = result.tables["targets"].to_pylist()
    assert seen["all"] == "1 to 8 of 8 targets"
    assert seen["search"] == "1 to 1 of 1 targets (of 8)"
    n_unreachable = sum(row["status"] == "unreachable" for row in targets)
    assert seen["unreachable"] == f"1 to {n_unreachable} of {n_unreachable} targets (of 8)"
    assert seen["group"] == "1 to 7 of 7 targets (of 8)"
    assert seen["largest"] == max(targets, key=lambda row: row["value"])["name"]
    assert seen["order"] == "ascending"
    assert seen["file"].startswith("name,group,reason,flags,status,value,before,after,error_before")
    assert seen["rows"] == 9


def test_the_result_stands_in_two_sentences_before_everything(result, page):
    m = result.metrics
    assert (
        f"30 of 120 records meet 8 targets with a mean error of {percent(m['loss'])}, where the "
        "design weights of all records are off by"
    ) in words(page)
    assert (
        f"as precise as {m['effective_sample_size']:.0f} records of equal weight, and 5"
        in words(page)
    )
    assert f"Calibration report, {date.today().isoformat()}" in words(page)
