import json

from l0.calibration.results.report.page import embedded, page
from l0.calibration.results.report.table import Column, DataTable, choice, number

NASTY = "</script><b>&amp;"


def test_embedded_data_cannot_end_its_script():
    text = embedded({"name": NASTY})
    assert "<" not in text
    assert json.loads(text) == {"name": NASTY}


def test_a_page_holds_its_style_and_its_scripts(monkeypatch):
    from l0.calibration.results.report import page as module

    template = (
        '{% extends "base.html.j2" %}{% from "macros.html.j2" import data_table with context %}'
        '{% block title %}{{ title }}{% endblock %}{% block main %}{{ data_table(table, "All", '
        '"No script") }}{% endblock %}'
    )
    read = module._read
    monkeypatch.setattr(module, "_read", lambda name: template if name == "own" else read(name))
    module._environment.cache_clear()
    table = DataTable(
        "all", "targets", "all.csv",
        [
            Column("name", "Target", "text", [NASTY, "b"], place="head"),
            choice("group", "Group", ["x", "y"], place="under", filter=True),
            number("error", "Error", "signed", [0.1, -0.2]),
        ],
        ("error", True),
    )  # fmt: skip
    text = page("own", title=NASTY, table=table)
    module._environment.cache_clear()
    assert "--paper" in text and "class DataTable" in text
    assert NASTY not in text
    assert text.index("−20%") < text.index("+10%")
