import json
import re

import numpy as np
import pandas as pd
import pytest

import l0
from l0.calibration.results.report.report import render
from l0.calibration.results.report.table import choice
from l0.calibration.results.report.target_table import KEYS, label_choices, target_table
from l0.calibration.results.report.tiles import HEAT, MOST, STATES, strips
from tests.calibration.results.report.browser import NASTY, told, width_in_a_window, words


def test_each_state_has_a_place_of_its_own():
    assert len(STATES) == len(set(STATES.values())) == 52
    assert max(x for x, _ in STATES.values()) <= 12
    assert STATES["WA"][0] < STATES["NY"][0] and STATES["ND"][1] < STATES["TX"][1]


def test_a_tile_has_the_mean_capped_error_of_its_targets():
    errors = [0.02, -0.04, 5.0, 0.5, 0.0]
    (strip,) = strips([choice("age", "age", ["10", "10", "9", "", "9"])], errors)
    assert [(tile.level, tile.count) for tile in strip.tiles] == [("9", 2), ("10", 2)]
    assert [tile.error for tile in strip.tiles] == pytest.approx([0.5, 0.03])
    assert not strip.is_map and strip.tiles[0].place is None


@pytest.mark.parametrize(("error", "heat"), [(0.0, 0), *((end, i) for i, end in enumerate(HEAT)),
                                             (0.31, 4), (1.0, 4)])  # fmt: skip
def test_colours_follow_the_error(error, heat):
    (strip,) = strips([choice("a", "a", ["x", "y"])], [error, error])
    assert {tile.heat for tile in strip.tiles} == {heat}


def test_columns_of_states_are_maps_and_those_of_few_or_other_codes_are_not():
    many, few = list(STATES), list(STATES)[:5]
    for levels, is_map in ((many, True), (few, False), ([*many, "US"], False)):
        (strip,) = strips([choice("s", "s", levels)], np.zeros(len(levels)))
        assert strip.is_map is is_map and len(strip.tiles) == len(levels)


def test_one_level_has_no_strip_and_too_many_levels_no_tiles():
    assert strips([choice("a", "a", ["x", ""]), choice("b", "b", ["", ""])], [0, 0]) == []
    levels = [str(level) for level in range(MOST + 1)]
    (strip,) = strips([choice("a", "a", levels)], np.zeros(MOST + 1))
    assert strip.tiles == [] and strip.n_levels == MOST + 1


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(0)
    states = [code for code in STATES if code != "PR"]
    homes = pd.DataFrame({
        "id": np.arange(510), "w": rng.uniform(5, 15, 510), "state": states * 10,
        "before": rng.choice(["5-9", "10-14", NASTY], 510),
    })  # fmt: skip
    rows = [
        {name: level, "value": homes["w"][homes[name] == level].sum() * rng.uniform(0.8, 1.2)}
        for name in ("state", "before") for level in sorted(set(homes[name]))
    ]  # fmt: skip
    targets = pd.DataFrame([{"variable": "count", **row} for row in rows])
    return l0.calibrate(homes, targets, key="id", weight="w", n_records=200, method="random")


@pytest.fixture(scope="module")
def page(result):
    return render(result.metrics, result.run, result.tables)


def test_the_table_is_filtered_by_labels_whatever_their_names(result):
    columns = label_choices(result.tables["targets"])
    assert {(each.key, each.title) for each in columns if each.filter} == {
        ("state", "state"), ("label_before", "before"),
    }  # fmt: skip
    keys = [column.key for column in target_table(result.tables["targets"]).columns]
    assert len(set(keys)) == len(keys) and set(KEYS) <= set(keys)


def test_the_page_has_a_map_and_a_strip_and_names_stay_text(page):
    assert page.count('<ul class="tiles map"') == 1 and page.count('<ul class="tiles"') == 1
    assert NASTY not in page
    assert "state , 51 levels" in words(page)


def test_a_tile_filters_the_table_by_click_and_says_so(page, tmp_path):
    script = """
        const tiles = document.querySelector(".tiles.map");
        const box = document.getElementById("targets-table");
        const at = (code) => tiles.querySelector(`[data-level=${code}] button`), seen = [];
        const see = () => seen.push([
            box.dataTable.shown.length, ...["NY", "CA"].map((code) => at(code).ariaPressed)]);
        at("NY").click(); see(); at("CA").click(); see(); at("CA").click(); see();
        const strip = document.querySelector('.tiles:not(.map)');
        const nasty = [...strip.children].find((tile) => tile.dataset.level.includes("script"));
        nasty.querySelector("button").click(); seen.push(box.dataTable.shown.length);
        at("TX").focus(); seen.push(document.activeElement === at("TX"), at("TX").textContent);
        document.body.dataset.told = JSON.stringify(seen);
    """
    seen = json.loads(told(page, script, tmp_path))
    assert seen[:3] == [[1, "true", "false"], [1, "false", "true"], [54, "false", "false"]]
    assert seen[3:5] == [1, True]
    assert re.fullmatch(r"TX \S+% mean error, 1 target", seen[5])


def test_a_level_without_visible_signs_has_words_on_its_tile_and_in_the_filter(tmp_path):
    levels = ["a", " ", "\r\t", "\u00a0", "\u200b", "é", "-"]
    (strip,) = strips([choice("x", "x", levels)], np.zeros(len(levels)))
    titles = {tile.level: tile.title for tile in strip.tiles}
    assert titles == {each: each if each in "aé-" else "(blank)" for each in levels}
    homes = pd.DataFrame({"id": np.arange(70), "w": 10.0, "x": levels * 10})
    targets = pd.DataFrame(
        [{"variable": "count", "x": level, "value": 100.0} for level in levels]
        + [{"variable": "count", "x": None, "value": 700.0}]
    )
    result = l0.calibrate(homes, targets, key="id", weight="w")
    script = """
        const said = (all) => [...document.querySelectorAll(all)].map((each) => each.textContent);
        document.body.dataset.told = JSON.stringify(
            [said(".tiles button b"), said("#targets-table select option")]);
    """
    page = render(result.metrics, result.run, result.tables)
    tiles, options = json.loads(told(page, script, tmp_path))
    assert sorted(tiles) == sorted(titles.values())
    assert options.count("(blank) (1)") == 4 and options.count("(none) (1)") == 1


def test_every_tile_filters_whatever_the_label_has(tmp_path):
    levels = [
        "a\r\nb",
        "a\nb",
        "\r",
        " ",
        '"',
        "1",
        "01",
        "nan",
        "&#13;",
        NASTY,
        "a,b",
        "</script>",
    ]
    homes = pd.DataFrame({
        "id": np.arange(120), "w": 10.0, "x\r\ny": levels * 10, "A": levels[:6] * 20,
    })  # fmt: skip
    targets = pd.DataFrame([
        {"variable": "count", name: level, "value": 10.0 * (homes[name] == level).sum()}
        for name in ("x\r\ny", "A") for level in sorted(set(homes[name]))
    ])  # fmt: skip
    targets = pd.concat([targets, targets.assign(variable="w")]).assign(
        value=lambda frame: frame["value"] * frame["variable"].map({"count": 1, "w": 10})
    )
    result = l0.calibrate(homes, targets, key="id", weight="w")
    script = """
        const table = document.getElementById("targets-table").dataTable;
        const seen = [...document.querySelectorAll(".tiles button")].map((button) => {
            button.click();
            const found = [table.shown.length, button.ariaPressed];
            button.click();
            return [...found, table.shown.length].join();
        });
        document.body.dataset.told = JSON.stringify(seen);
    """
    page = render(result.metrics, result.run, result.tables)
    seen = json.loads(told(page, script, tmp_path))
    assert seen.count("2,true,36") == 18 and seen.count("18,true,36") == 2 and len(seen) == 20


def test_the_tiles_fit_a_phone(page, tmp_path):
    assert width_in_a_window(page, 390, tmp_path) <= 390
