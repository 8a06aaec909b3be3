from pathlib import Path

import pytest

from l0.common.errors import InputError
from l0.data.locations import Location, locate, options_of


@pytest.mark.parametrize(
    ("text", "path", "part"),
    [
        ("totals.csv", "totals.csv", ""),
        ("book.xlsx#Sheet 1", "book.xlsx", "Sheet 1"),
        ("book.xlsx#Sheet #1", "book.xlsx", "Sheet #1"),
        (Path("a/b.csv#decimal=comma"), "a/b.csv", "decimal=comma"),
    ],
)
def test_a_location_is_a_path_and_what_follows_the_sign(text, path, part):
    assert locate(text) == Location(Path(path), part)
    assert str(locate(text)) == str(text)


def test_a_sign_in_the_name_of_an_existing_file_stays(tmp_path):
    (tmp_path / "run#2.xlsx").touch()
    assert locate(tmp_path / "run#2.xlsx") == Location(tmp_path / "run#2.xlsx")
    assert locate(f"{tmp_path}/run#2.xlsx#A#B") == Location(tmp_path / "run#2.xlsx", "A#B")


def test_options_are_names_with_values():
    location = Location(Path("a.csv"), "decimal=comma, separator=tab")
    assert options_of(location, "records", ("decimal", "separator")) == {
        "decimal": "comma", "separator": "tab",
    }  # fmt: skip


@pytest.mark.parametrize("part", ["decimal", "decimal=", "decimals=comma", "decimal=a,decimal=b"])
def test_wrong_options_are_named_with_the_known_ones(part):
    with pytest.raises(InputError, match=r"`records`: 'decim.*is no option.*closest: 'decimal'"):
        options_of(Location(Path("a.csv"), part), "records", ("decimal",))


def test_a_file_without_options_takes_none():
    with pytest.raises(InputError, match="`records`: .parquet files have no options.*leave out"):
        options_of(Location(Path("a.parquet"), "x=1"), "records", ())
