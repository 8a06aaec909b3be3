import pytest

from l0.calibration.variance.question import COLUMNS, Asked, Question, read_question
from l0.common.errors import InputError

DEFAULTS = {
    "by": (), "statistic": "total", "denominator": None, "within": None, "q": None, "level": 0.95,
    "compared_with": None,
}  # fmt: skip


def read(of=None, **asked):
    return read_question(of, **{**DEFAULTS, **asked})


def test_none_and_count_ask_for_the_number_of_rows():
    assert read() == read("count") == Question("count", (), "total", "", (), 0.0, 0.95, {})
    assert read("x", by="state").by == read("x", by=["state"]).by == ("state",)
    assert set(Asked.__annotations__) == set(DEFAULTS)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"statistic": "men"}, "`statistic` is 'men'; it must be total, mean,"),
        ({"statistic": "median"}, "`statistic` is 'median'; "),
        ({"of": 3}, "`of` is a int; pass the name of a column"),
        ({"of": None, "statistic": "mean"}, "`of` is None, the number of rows, which has no mean"),
        ({"of": "count", "statistic": "gini"}, "which has no gini; name a column"),
        ({"by": ["a", "a"]}, "`by` names 'a' more than once"),
        ({"by": None}, "`by` is None; pass the name of a column or a list of names, or leave it"),
        ({"by": 3}, "`by` is 3; pass the name of a column or a list of names"),
        ({"by": [3]}, "`by` is a int; pass the name of a column"),
        ({"by": ["cv", "a", "low"]}, "`by` names 'cv', 'low', which .* rename it in `table`"),
        ({"q": 0.5}, "`q` belongs to `statistic='quantile'`, and `statistic` is 'total'"),
        ({"within": []}, "`within` belongs to `statistic='share'`"),
        ({"denominator": "x"}, "`denominator` belongs to `statistic='ratio'`"),
        ({"statistic": "ratio"}, "a ratio needs `denominator`; name a column, or 'count'"),
        ({"statistic": "quantile"}, "a quantile needs `q`; pass 0.5 for the median"),
        ({"statistic": "quantile", "q": 1}, "`q` must be a number above 0 and below 1, got 1"),
        ({"statistic": "quantile", "q": 50}, "`q` must be a number above 0 and below 1, got 50"),
        ({"level": 95}, "`level` must be a number above 0 and below 1, got 95"),
        (
            {"statistic": "share", "by": "state", "within": ["stat"]},
            "`within` names 'stat', which `by` does not; closest: 'state'",
        ),
        ({"compared_with": {"year": 1}}, "`compared_with` names 'year', which `by` does not; ther"),
        ({"compared_with": "VT"}, "`compared_with` is 'VT'; pass a dictionary"),
    ],
)
def test_wrong_questions_are_named(asked, text):
    with pytest.raises(InputError, match=text):
        read(**{"of": "x", **asked})


def test_every_column_of_the_answer_is_refused_as_a_label():
    for name in COLUMNS:
        with pytest.raises(InputError, match=f"`by` names '{name}'"):
            read(by=name)
