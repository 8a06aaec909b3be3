from datetime import date, time
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from l0.common.errors import InputError
from l0.linear_model import L0Classifier, L0Cox, L0Regressor, L0Selector
from tests.linear_model.problems import planted

#: The types of text in pandas.
PANDAS_TEXT = [object, "string", pd.ArrowDtype(pa.string()), pd.ArrowDtype(pa.large_string())]


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
    y = (y > 0).astype(int)
    codes = [f"{row % 3:02}" for row in range(60)]
    frame = pd.DataFrame(x[:, :4], columns=list("abcd")).assign(c=codes)
    of_polars = pl.DataFrame(x[:, :4], list("abcd")).with_columns(pl.Series("c", codes))
    as_bytes = of_polars.with_columns(pl.col("c").cast(pl.Binary))
    for given in (
        frame,
        *(frame.astype({"c": kind}) for kind in PANDAS_TEXT),
        frame.assign(c=[code.encode() for code in codes]),
        frame.rename(columns={"d": "c"}),  # which leaves two columns of this name
        of_polars,
        of_polars.to_arrow(),
        of_polars.with_columns(pl.Series("c", codes, dtype=pl.Object)),
        as_bytes,
        as_bytes.to_arrow(),
    ):
        with pytest.raises(InputError, match="`X` has columns of text: 'c'; make indicators"):
            estimator.fit(given, y)
    for given in (frame.to_numpy(), np.array([codes] * 2).T, np.array([codes], "S").T, [["01"]]):
        with pytest.raises(InputError, match="`X` has text; pass numbers"):
            estimator.fit(given, y)


@pytest.mark.parametrize("estimator", [L0Regressor(2), L0Classifier(2), L0Selector(2)])
def test_dates_and_times_are_not_taken_for_numbers(estimator):
    x, y, _ = planted(0)
    y = (y > 0).astype(int)
    days = [date(2020, 1, 1 + row % 9) for row in range(60)]
    frame = pd.DataFrame(x[:, :4], columns=list("abcd"))
    given = [pl.DataFrame(x[:, :4], list("abcd")).with_columns(pl.Series("c", days))]
    zones = (pl.Datetime, pl.Datetime("ms", "UTC"))
    given += [given[0].with_columns(pl.col("c").cast(kind)) for kind in zones]
    given += [given[0].with_columns(pl.col("c") - date(2020, 1, 1))]
    given += [given[0].with_columns(pl.lit(time(8)).alias("c"))]
    given += [each.to_arrow() for each in given]
    stamps = pd.Series(pd.to_datetime(days))
    for column in (
        days,
        stamps,
        stamps.dt.tz_localize("UTC"),
        stamps - stamps[0],
        stamps.dt.to_period("M"),
        stamps.astype(object),
        pd.array(days, pd.ArrowDtype(pa.date32())),
        pd.array(days, pd.ArrowDtype(pa.timestamp("ms"))),
    ):
        given.append(frame.assign(c=column))
    for each in given:
        with pytest.raises(InputError, match="`X` has columns of dates or times: 'c'; encode them"):
            estimator.fit(each, y)
    with pytest.raises(InputError, match="`X` has dates or times; encode them as numbers"):
        estimator.fit(np.array([days] * 2, "M8[D]").T, y)
    six = pd.DataFrame(dict.fromkeys("abcdef", stamps))
    with pytest.raises(InputError, match="times: 'a', 'b', 'c', 'd', 'e' and 1 more; encode"):
        estimator.fit(six, y)


def test_columns_of_numbers_are_taken_whatever_their_type():
    x, y, _ = planted(0)
    whole = np.arange(60) % 3
    frame = pd.DataFrame(x[:, :4], columns=list("abcd"))
    amounts = [Decimal(int(v)) for v in whole]
    of_polars = pl.DataFrame(x[:, :4], list("abcd"))
    given = [
        frame.assign(c=column)
        for column in (
            whole.astype(object),
            (whole > 1).tolist(),
            amounts,
            pd.array(whole, "Int64"),
            pd.array(whole > 1, "boolean"),
            pd.array(whole, pd.ArrowDtype(pa.int8())),
            pd.array(amounts, pd.ArrowDtype(pa.decimal128(9, 2))),
        )
    ]
    for column in (whole, whole > 1, amounts):
        given.append(of_polars.with_columns(pl.Series("c", column)))
        given.append(given[-1].to_arrow())
    given.append(of_polars.with_columns(pl.Series("c", whole.tolist(), dtype=pl.Object)))
    given.append(frame.astype(object))
    for each in given:
        model = L0Regressor(2).fit(each, y)
        assert model.predict(each).shape == (60,)


@pytest.mark.parametrize("estimator", [L0Regressor(2), L0Classifier(2), L0Cox(2), L0Selector(2)])
def test_lazy_frames_are_refused_with_what_to_pass(estimator, tmp_path):
    x, y, _ = planted(0)
    frame = pl.DataFrame(x[:, :4], list("abcd"))
    outcome = np.column_stack([np.exp(-y), y < 2]) if isinstance(estimator, L0Cox) else y > 0
    with pytest.raises(InputError, match=r"`X` is lazy \(a LazyFrame\); pass `X.collect\(\)`"):
        estimator.fit(frame.lazy(), outcome)
    with pytest.raises(InputError, match=r"`y` is lazy .*; pass `y.collect\(\)`"):
        estimator.fit(frame, pl.DataFrame(outcome).lazy())
    pq.write_table(frame.to_arrow(), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="`X` is lazy .*; pass a table of it"):
        estimator.fit(ds.dataset(tmp_path), outcome)


@pytest.mark.parametrize("estimator", [L0Regressor(2), L0Classifier(2), L0Cox(2)])
def test_what_fit_refuses_as_x_is_refused_as_rows_to_predict(estimator):
    x, y, _ = planted(0)
    frame = pd.DataFrame(x[:, :4], columns=list("abcd"))
    outcome = np.column_stack([np.exp(-y), y < 2]) if isinstance(estimator, L0Cox) else y > 0
    estimator.fit(frame, outcome)
    for given, said in (
        (frame.assign(c="01"), "`X` has columns of text: 'c'"),
        (frame.assign(c=pd.Categorical(["1"] * 60)), "`X` has categorical columns: 'c'"),
        (frame.assign(c=pd.Timestamp(0)), "`X` has columns of dates or times: 'c'"),
        (pl.from_pandas(frame).lazy(), "`X` is lazy"),
        (np.ma.array(x[:, :4], mask=x[:, :4] > 1), "`X` has masked values"),
        (np.full((3, 4), "01"), "`X` has text"),
    ):
        with pytest.raises(InputError, match=said):
            estimator.predict(given)


@pytest.mark.parametrize("name", ["y", "sample_weight"])
def test_text_and_dates_are_no_outcomes_and_no_weights(name):
    x, y, _ = planted(0)
    codes, days = np.full(60, "01"), np.full(60, "2020-01-01", "M8[D]")
    for given in (codes, codes.tolist(), codes.astype(object), pl.Series(codes), pd.Series(codes)):
        with pytest.raises(InputError, match=f"`{name}` has text; pass numbers"):
            L0Regressor(2).fit(**{"X": x, "y": y, name: given})
    for given in (days, days.astype(object), pl.Series(days), pd.Series(days)):
        with pytest.raises(InputError, match=f"`{name}` has dates or times; encode them"):
            L0Regressor(2).fit(**{"X": x, "y": y, name: given})


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
