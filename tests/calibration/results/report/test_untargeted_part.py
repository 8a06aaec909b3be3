from l0.common.formatting import percent
from tests.calibration.results.report.browser import words
from tests.calibration.results.report.example import problem, rendered


def test_without_untargeted_statistics_it_says_why():
    text = words(rendered(problem(untargeted=False).solve(30, method="random", epochs=2)))
    assert "Untargeted not known" in text
    assert "without a matrix of such statistics" in text


def test_statistics_that_the_fit_was_trained_on_are_counted_apart():
    result = problem().solve(30, method="pps", represent=[0, 3])
    text = words(rendered(result))
    assert "3 statistics that are held out" in text
    assert "The fit was trained on 2 other statistics" in text
    assert f"their mean error is {percent(result.metrics['represented_capped_error'])}" in text
    assert "The 3 largest errors on held-out statistics" in text
    of_all = words(rendered(problem().solve(30, method="pps", represent=list(range(5)))))
    assert "the fit was trained on each statistic" in of_all
    assert "The fit was trained on 5 other statistics" in of_all
