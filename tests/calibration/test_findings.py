import pytest

from l0.calibration.findings import WARNING, Finding, refuse
from l0.common.errors import InputError


def test_a_finding_that_is_refused_is_an_error_with_its_remedy():
    finding = Finding(WARNING, "levels", "`targets` ask for 'A '", "drop the blank", ("A ",), 1)
    assert finding.text == "`targets` ask for 'A '; drop the blank"
    with pytest.raises(InputError, match="^`targets` ask for 'A '; drop the blank$"):
        refuse(finding)
