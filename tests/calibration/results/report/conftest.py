import pytest

from tests.calibration.results.report.example import problem, rendered


@pytest.fixture(scope="package")
def result():
    return problem().solve(30, epochs=20)


@pytest.fixture(scope="package")
def page(result):
    return rendered(result)
