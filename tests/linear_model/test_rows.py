import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor, L0Selector
from l0.linear_model.design import standardised_design
from l0.linear_model.rows import Model, Rows, original
from tests.linear_model.problems import planted


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_rows_are_taken_together(form):
    x = form(np.arange(12.0).reshape(4, 3))
    rows = Rows(x, np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 2, 0]))
    some = rows.take(np.array([2, 0]))
    taken = some.x.toarray() if sp.issparse(some.x) else some.x
    np.testing.assert_array_equal(taken, [[6, 7, 8], [0, 1, 2]])
    assert some.y.tolist() == [3, 1] and some.weights.tolist() == [2, 1]
    assert rows.counting().y.tolist() == [1, 3]
    assert some.counting() is some


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_a_model_reads_only_its_columns(form):
    x = np.arange(12.0).reshape(4, 3)
    model = Model(np.array([0, 2]), np.array([[2.0, 0, -1]]), np.array([5.0]))
    np.testing.assert_allclose(model.scores(form(x)), x @ [[2.0], [0], [-1]] + 5)


@pytest.mark.parametrize("form", [np.asarray, sp.csc_array])
@pytest.mark.parametrize("centre", [True, False])
def test_a_model_of_standardised_columns_predicts_the_same_on_the_original_ones(form, centre):
    generator = np.random.default_rng(0)
    x = generator.normal(3, 2, size=(20, 5))
    standardised = standardised_design(form(x), generator.uniform(1, 3, 20), centre)
    columns, slopes, intercept = np.array([4, 1]), generator.normal(size=(2, 3)), np.arange(3.0)
    model = original(standardised, (slopes, intercept), columns)
    z = (x - standardised.mean)[:, columns] / standardised.scale[columns]
    np.testing.assert_allclose(model.scores(x), z @ slopes + intercept)
    assert model.columns.tolist() == [1, 4]
    assert not model.coefficients[:, [0, 2, 3]].any()


@pytest.mark.parametrize("estimator", [L0Regressor(2), L0Classifier(2), L0Selector(2)])
def test_what_is_no_number_is_named(estimator):
    x, y, _ = planted(0)
    y = (y > 0).astype(int)
    frame = pd.DataFrame(x[:, :4], columns=list("abcd")).assign(c=pd.Categorical(np.arange(60) % 3))
    with pytest.raises(InputError, match="`X` has categorical columns: 'c'; make indicators"):
        estimator.fit(frame, y)
    codes = pl.Series("c", np.arange(60) % 3).cast(pl.String)
    for kind in (pl.Categorical, pl.Enum(["0", "1", "2"])):
        coded = pl.DataFrame(x[:, :4], list("abcd")).with_columns(codes.cast(kind))
        for given in (coded, coded.to_arrow()):
            with pytest.raises(InputError, match="`X` has categorical columns: 'c'"):
                estimator.fit(given, y)
    with pytest.raises(InputError, match=r"`y` contains NaN or None in the rows 3, 5"):
        estimator.fit(x, [None if row in (3, 5) else int(v) for row, v in enumerate(y)])


@pytest.mark.parametrize("estimator", [L0Regressor(2), L0Classifier(2), L0Selector(2)])
def test_codes_as_text_are_not_taken_for_numbers(estimator):
    x, y, _ = planted(0)
    codes = [f"{row % 3:02}" for row in range(60)]
    frame = pd.DataFrame(x[:, :4], columns=list("abcd")).assign(c=codes)
    of_polars = pl.DataFrame(x[:, :4], list("abcd")).with_columns(pl.Series("c", codes))
    for given in (
        frame,
        frame.astype({"c": object}),
        frame.astype({"c": "string"}),
        frame.rename(columns={"d": "c"}),  # which leaves two columns of this name
        of_polars,
        of_polars.to_arrow(),
    ):
        with pytest.raises(InputError, match="`X` has columns of text: 'c'; make indicators"):
            estimator.fit(given, (y > 0).astype(int))
    as_objects = pd.DataFrame(x[:, :4], columns=list("abcd"), dtype=object)
    estimator.fit(as_objects, (y > 0).astype(int))


@pytest.mark.parametrize("estimator", [L0Regressor(2), L0Classifier(2), L0Selector(2)])
@pytest.mark.parametrize("name", ["X", "y", "sample_weight"])
def test_what_is_behind_a_mask_is_never_used(estimator, name):
    x, y, _ = planted(0)
    given = {"X": x, "y": (y > 0).astype(int), "sample_weight": np.ones(len(y))}
    mask = np.zeros(given[name].shape, bool)
    estimator.fit(**{**given, name: np.ma.array(given[name], mask=mask)})
    mask[3] = True
    with pytest.raises(InputError, match=f"`{name}` has masked values; fill them, or leave out"):
        estimator.fit(**{**given, name: np.ma.array(given[name], mask=mask)})


@pytest.mark.parametrize(
    "estimator", [L0Regressor(2, loss="huber"), L0Regressor(2, nonnegative=True), L0Classifier(2)]
)
def test_several_outcomes_are_refused_with_what_takes_them(estimator):
    x, y, _ = planted(0)
    with pytest.raises(InputError, match=r"`y` has 2 columns; .*L0Regressor\(loss=.squared.\)"):
        estimator.fit(x, np.column_stack([y > 0, y > 1]).astype(int))


@pytest.mark.parametrize("size", [1e-45, 1e-31, 1e31, 1e60])
@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_outcomes_beyond_the_precision_of_the_columns_are_refused(size, loss):
    x, y, _ = planted(0, noise=1.0)
    with pytest.raises(InputError, match=r"no float32 numbers; divide `y` by .*double precision"):
        L0Regressor(3, loss=loss).fit(x.astype(np.float32), size * y)
    assert L0Regressor(3, loss=loss).fit(x, size * y).score(x, size * y) > 0.5


@pytest.mark.parametrize(
    ("dtype", "of_x", "of_y"),
    [(np.float32, 1e-20, 1e25), (np.float32, 1e25, 1e-25), (np.float64, 1e-300, 1e100)],
)
def test_coefficients_beyond_the_precision_of_the_columns_are_refused(dtype, of_x, of_y):
    x, y, support = planted(0, noise=1.0)
    with pytest.raises(InputError, match=rf"columns {support[0]}, .*too large or too small for fl"):
        L0Regressor(3).fit((of_x * x).astype(dtype), of_y * y)


@pytest.mark.parametrize("estimator", [L0Classifier, L0Cox])
def test_slopes_beyond_the_precision_of_the_columns_are_refused(estimator):
    x, y, _ = planted(0, noise=1.0)
    outcome = y > 0 if estimator == L0Classifier else np.column_stack([np.exp(-y), y < 2])
    with pytest.raises(InputError, match="too large or too small for float32"):
        estimator(3).fit((2e-39 * x).astype(np.float32), outcome)
