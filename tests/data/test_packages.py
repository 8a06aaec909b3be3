import json

import pytest

from l0.common.errors import InputError
from l0.data.packages import package_for


def test_a_package_is_imported():
    assert package_for("json", "reading", "a.json") is json


def test_a_missing_package_is_named_with_the_line_that_installs_it():
    with pytest.raises(
        InputError, match=r"'a.dta' needs the package nothing_of_this_name.*"
    ) as why:
        package_for("nothing_of_this_name", "`records`: reading", "a.dta")
    assert 'pip install "l0-python[files]"' in str(why.value)
