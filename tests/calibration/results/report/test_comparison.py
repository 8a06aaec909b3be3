"""The page of a comparison: what it says, and what its controls do in a browser."""

import html
import re
from types import SimpleNamespace

import numpy as np
import pytest

from l0.calibration import CalibrationProblem, compare
from l0.common.formatting import amount
from tests.calibration.results.report.browser import NASTY, told, width_in_a_window, words


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    rng = np.random.default_rng(0)
    n, m = 200, 120
    A = rng.integers(0, 3, (m, n)).astype(float)
    weights = rng.uniform(50, 150, n)
    problem = CalibrationProblem.from_matrix(
        A,
        A @ (weights * rng.uniform(0.2, 1.8, n)),
        weights,
        names=[f"target {i} {NASTY}" for i in range(m)],
        groups=[NASTY, *["plain"] * (m - 1)],
        untargeted=rng.uniform(0, 1, (5, n)),
    )
    found = compare(
        problem.solve(30, "random"), problem.solve(40, "random", seed=1, holdout="target 7 *")
    )
    path = tmp_path_factory.mktemp("compared") / "page.html"
    found.to_html(path)
    return SimpleNamespace(comparison=found, page=path.read_text(encoding="utf-8"))


def test_the_page_says_what_print_says(compared):
    text, m = words(compared.page), compared.comparison.metrics
    assert f"B is nearer to {m['targets_won']} targets, and A to {m['targets_lost']}" in text
    for sentence in str(compared.comparison).split("\n\n")[1:]:
        assert " ".join(sentence.split()) in text
    assert (
        f"The median of the weight in B over that in A is {amount(m['median_weight_ratio'])}"
        in text
    )
    assert text.count("result = problem.solve(") == 2


def test_names_stay_text_and_nothing_is_loaded(compared):
    assert "<script>alert" not in compared.page
    assert not re.search(r'(src|href)="(?!#|data:)', compared.page)


def test_without_scripts_the_largest_differences_are_there(compared):
    table = compared.comparison.targets.to_pandas()
    ahead = (table["relative_error_a"].abs() - table["relative_error_b"].abs()).abs()
    first = table["name"][ahead.idxmax()]
    body = compared.page[compared.page.index('id="targets-table"') :]
    assert html.unescape(re.search(r'<th scope="row" role="rowheader">(.*?)<', body)[1]) == first


def test_results_without_common_records_or_statistics_have_a_page(tmp_path):
    of = []
    for keys in (["a", "b"], ["c", "d"]):
        problem = CalibrationProblem.from_matrix(np.eye(2), [3, 5], [1, 1], keys=keys)
        of.append(problem.solve())
    compare(*of).to_html(tmp_path / "page.html")
    text = words((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "They are not compared" in text and "How do the weights" not in text


#: Presses the controls, and leaves on the body what the table says then.
PRESS = """
const box = document.getElementById("targets-table"), told = {};
const count = () => box.querySelector(".count").textContent;
const [group, outcome] = [...box.querySelectorAll(".tools select")];
const choose = (select, value) => {
  select.value = value;
  select.dispatchEvent(new Event("change"));
};
told.all = count();
const search = box.querySelector("input[type=search]");
search.value = "target 11"; search.dispatchEvent(new Event("input"));
told.search = count();
[...box.querySelectorAll(".tools button")].find((each) => each.textContent === "Show all").click();
const won = [...outcome.options].find((each) => each.textContent.startsWith("B is nearer"));
choose(outcome, won.value);
told.won = count();
choose(outcome, "");
box.querySelector("th[data-key=error_b] button").click();
told.sorted = box.querySelector("tbody th").firstChild.textContent;
told.order = box.querySelector("th[data-key=error_b]").getAttribute("aria-sort");
[...box.querySelectorAll(".pager button")].at(-1).click();
told.page = count();
told.file = box.dataTable.csv().split("\\n")[0];
document.body.dataset.told = JSON.stringify(told);
"""


def test_in_a_browser_the_table_is_searched_filtered_and_sorted(compared, tmp_path):
    seen = told(compared.page, PRESS, tmp_path)
    m, table = compared.comparison.metrics, compared.comparison.targets.to_pandas()
    assert '"all":"1 to 50 of 120 targets"' in seen
    n_found = sum("target 11" in name for name in table["name"])
    assert f'"search":"1 to {n_found} of {n_found} targets (of 120)"' in seen
    assert f'of {m["targets_won"]} targets (of 120)"' in seen
    worst = table["name"][table["relative_error_b"].abs().idxmax()]
    assert f'"sorted":"{worst.split(" <")[0].split(NASTY)[0]}' in seen
    assert '"order":"descending"' in seen and '"page":"51 to 100 of 120 targets"' in seen
    assert '"file":"name,group,outcome,value,error_a,error_b,difference,status_a' in seen


@pytest.mark.parametrize("width", [390, 1280])
def test_in_a_browser_nothing_is_wider_than_the_window(compared, width, tmp_path):
    assert width_in_a_window(compared.page, width, tmp_path) <= width
