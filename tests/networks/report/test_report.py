"""What the report shows: as text, as HTML, as a figure."""

from xml.etree import ElementTree

import pytest

from l0.networks import (
    BudgetRow,
    Change,
    GroupRow,
    LayerRow,
    LeftOut,
    Macs,
    Params,
    Report,
    Units,
    sparsify,
)
from tests.networks.training import make, train


def test_the_text_has_every_layer_and_what_was_left_out():
    model, inputs = make("lenet")
    sparsifier = sparsify(model, inputs, {"fc1": Units(0.5), "conv*": Macs(0.4)})
    text = str(sparsifier.report(latency=False))
    for word in ("conv1", "conv2", "fc1", "units of fc1", "multiply-adds of conv*"):
        assert word in text
    assert "No gates on fc2: they reach the model's output." in text
    assert "milliseconds" not in text


def test_the_history_is_plotted(tmp_path):
    pytest.importorskip("matplotlib")
    model, inputs = make("mlp")
    sparsifier = sparsify(model, inputs, Params(0.5), total_steps=20)
    train(model, inputs, sparsifier, 10)
    figure = sparsifier.report(latency=False).plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").stat().st_size > 0
    assert len(figure.axes) == 2


def a_report():
    change = Change(before=200, expected=150.0, after=50.0)
    return Report(
        totals={"units": change, "<b>parameters</b>": change},
        budgets=[BudgetRow("units of 'a' & \"b\"", 60, change, 0.25)],
        groups=[GroupRow("<script>alert(1)</script>", 20, 5, 1)],
        layers=[LayerRow("layer.with.a.name." * 5, change, change)],
        left_out=[LeftOut("<i>last</i>", "they reach the model's output")],
        history=[],
        warnings=["raise <gate_lr>"],
    )


def test_print_shows_the_summary():
    report = a_report()
    assert report.summary() == str(report) == repr(report)
    tables = report.summary().split("\n\n")
    assert tables[0].splitlines()[1].split() == ["units", "200", "150", "50", "25%"]
    assert tables[-2:] == [
        "No gates on <i>last</i>: they reach the model's output.",
        "Warning: raise <gate_lr>",
    ]


def test_notebooks_get_tables_with_all_text_escaped():
    html = a_report()._repr_html_()
    page = ElementTree.fromstring(html)  # it is well formed
    assert {e.tag for e in page.iter()} == {"div", "table", "thead", "tbody", "tr", "th", "td", "p"}
    assert "src=" not in html and "href=" not in html
    name, *cells = [cell.text for cell in page.findall("table")[1].iter() if cell.text][4:]
    assert [name, *cells] == ["units of 'a' & \"b\"", "60", "50", "0.25"]
    assert [p.text for p in page.iter("p")] == a_report().summary().split("\n\n")[-2:]


def test_the_share_is_what_is_left_and_a_cost_of_nothing_stays_whole():
    assert Change(200, 150.0, 50.0).share == 0.25
    assert Change(0, 0.0, 0.0).share == 1.0
