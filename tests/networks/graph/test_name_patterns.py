"""Patterns of the names of layers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l0.common.errors import InputError
from l0.networks.graph.name_patterns import listed, matching, matching_any

NAMES = ["stem", "stem.conv", "layers.0.q", "layers.0.out", "layers.10.q", "layers.1", "head"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("head", {"head"}),
        ("stem", {"stem", "stem.conv"}),
        ("layers.1", {"layers.1"}),
        ("layers", {"layers.0.q", "layers.0.out", "layers.10.q", "layers.1"}),
        ("*.q", {"layers.0.q", "layers.10.q"}),
        ("layers.?", {"layers.0.q", "layers.0.out", "layers.1"}),
        ("*", set(NAMES)),
        ("HEAD", set()),
        ("ste", set()),
    ],
)
def test_a_pattern_names_layers_and_what_is_inside(pattern, found):
    assert matching(pattern, NAMES) == found


@given(names=st.sets(st.text("ab.", min_size=1)))
def test_every_name_matches_itself_and_a_star_matches_all(names):
    assert matching("*", names) == names
    assert all(name in matching(name, names) <= names for name in names)


def test_several_patterns_are_joined_and_none_names_nothing():
    both = matching("*.q", NAMES) | matching("head", NAMES)
    assert matching_any(["*.q", "head"], iter(NAMES), "include") == both
    assert matching_any(("head",), NAMES, "include") == {"head"}
    assert matching_any(None, NAMES, "include") == matching_any([], NAMES, "include") == set()


def test_a_pattern_without_a_match_is_named_with_the_nearest_name():
    with pytest.raises(InputError, match="`exclude` names 'haed', .* closest: 'head'"):
        matching_any(["stem", "haed"], NAMES, "exclude")


@pytest.mark.parametrize("wrong", [3, ["head", 3], [None]])
def test_patterns_are_text(wrong):
    with pytest.raises(InputError, match="`include` is .*; give a pattern of names of layers"):
        listed(wrong, "include")
