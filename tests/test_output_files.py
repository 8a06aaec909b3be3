from pathlib import Path

import pytest

from l0.common.errors import InputError
from l0.output_files import Output, check_outputs, check_page, outputs_of

RECORDS, MEMBERS = Path("homes.csv"), {"person": "persons.csv"}


def test_files_are_for_the_records_or_for_a_member_table():
    assert outputs_of(["a.csv", "person=b.csv"], RECORDS, MEMBERS) == [
        Output(RECORDS, Path("a.csv")), Output(Path("persons.csv"), Path("b.csv"), needs_key=True),
    ]  # fmt: skip
    assert outputs_of(["out/year=1/c.csv"], RECORDS, MEMBERS)[0].source == RECORDS


def test_an_unknown_table_is_named():
    with pytest.raises(
        InputError, match=r"`--members` names no table 'persn'; .*closest: 'person'"
    ):
        outputs_of(["persn=b.csv"], RECORDS, MEMBERS)


@pytest.mark.parametrize(
    ("path", "key", "match"),
    [
        (
            "a.sas7bdat",
            "id",
            r"`--write`: cannot write 'a.sas7bdat': .sas7bdat files are read only",
        ),
        ("a.ods", "id", r"cannot write 'a.ods': .ods files are read only; name one of .parquet"),
        ("a.docx", "id", r"cannot write 'a.docx': its suffix is unknown; name one of .parquet"),
        ("a.csv", None, r"the member table in 'a.csv', which needs the key .*`--key`"),
        ("homes.csv", "id", r"'homes.csv' is a file that is read; write to another one"),
        ("out/a.csv", "id", r"'out/a.csv' is inside of the folder 'out' of the result"),
        ("notes.txt/a.csv", "id", r"'notes.txt/a.csv' cannot be written, because '.*notes.txt' is"),
        ("folder.csv", "id", r"`--write`: 'folder.csv' is a folder; name a file to write"),
        ("parts/2021/a.parquet", "id", r"is inside of the folder 'parts', which is read as one t"),
    ],
)
def test_what_cannot_be_written_is_said_before_any_work(tmp_path, monkeypatch, path, key, match):
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").touch()
    Path("parts").mkdir()
    Path("folder.csv").mkdir()
    output = Output(RECORDS, Path(path), needs_key=True)
    with pytest.raises(InputError, match=match):
        check_outputs([output], [RECORDS, "parts"], Path("out"), key)


def test_a_file_is_written_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outputs = [Output(RECORDS, Path("a.csv")), Output(RECORDS, tmp_path / "a.csv")]
    check_outputs(outputs[:1], [RECORDS], Path("out"), None)
    with pytest.raises(InputError, match=r"a.csv' is written twice; name another file"):
        check_outputs(outputs, [RECORDS], Path("out"), None)


@pytest.mark.parametrize(("name", "package"), [("a.xlsx", "xlsxwriter"), ("a.sav", "pyreadstat")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, name, package):
    monkeypatch.setitem(__import__("sys").modules, package, None)
    with pytest.raises(
        InputError, match=rf"`--write`: writing .*needs the package {package}; inst"
    ):
        check_outputs([Output(RECORDS, tmp_path / name)], [RECORDS], tmp_path / "out", None)


@pytest.mark.parametrize(
    ("path", "match"),
    [
        ("b/run.json", r"`--out`: 'b/run.json' is inside of the folder 'b' of the result.*beside"),
        ("a/deep/../page.html", r"is inside of the folder 'a' of the result"),
        ("pages", r"`--out`: 'pages' is a folder; name a file"),
        ("a", r"`--out`: 'a' is a folder; name a file"),
    ],
)
def test_a_page_on_results_does_not_replace_a_part_of_them(tmp_path, monkeypatch, path, match):
    monkeypatch.chdir(tmp_path)
    for folder in ("a", "b", "pages"):
        Path(folder).mkdir()
    check_page(Path("pages/page.html"), [Path("a"), Path("b")], "--out")
    with pytest.raises(InputError, match=match):
        check_page(Path(path), [Path("a"), Path("b")], "--out")
