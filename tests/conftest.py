"""A small generated survey, and the kinds of input it can come as."""

from typing import NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest


class SmallSurvey(NamedTuple):
    """400 households, the persons in them, and targets that nearly hold at the weights given."""

    households: pd.DataFrame
    persons: pd.DataFrame
    targets: pd.DataFrame

    def options(self, convert=lambda frame, name: frame):
        """Everything that `from_frames` and `calibrate` take, converted to some kind of input."""
        return {
            "records": convert(self.households, "households"),
            "targets": convert(self.targets, "targets"),
            "key": "household",
            "weight": "weight",
            "members": {"person": convert(self.persons, "persons")},
        }


@pytest.fixture
def survey():
    generator = np.random.default_rng(20)
    n = 400
    households = pd.DataFrame(
        {
            "household": generator.permutation(np.arange(1000, 1000 + n)),
            "weight": generator.uniform(50, 150, n).round(3),
            "state": generator.choice(["01", "02", "06", "36"], n, p=[0.1, 0.2, 0.3, 0.4]),
            "band": generator.choice(["low", "middle", "high"], n),
            "owner": generator.random(n) < 0.6,
            "year": generator.choice([2021, 2022], n),
            "income": generator.lognormal(10, 1, n).round(2),
            "wealth": generator.normal(0, 1000, n).round(2),
        }
    )
    of = generator.integers(0, n, 1000)
    persons = pd.DataFrame(
        {
            "household": households["household"].to_numpy()[of],
            "age": generator.choice(["0-17", "18-64", "65+"], len(of)),
            "earnings": generator.lognormal(9, 1, len(of)).round(2),
        }
    )
    person_weight = households["weight"].to_numpy()[of]
    person_state = households["state"].to_numpy()[of]
    weight = households["weight"]
    rows = []

    def target(entity, variable, value, **labels):
        rows.append({"entity": entity, "variable": variable, "value": value, **labels})

    for state in ("01", "02", "06", "36"):
        inside = households["state"] == state
        target("", "count", weight[inside].sum() * 1.1, state=state)
        target("person", "count", person_weight[person_state == state].sum(), state=state)
        for band in ("low", "middle", "high"):
            cell = inside & (households["band"] == band)
            income = (households["income"] * weight)[cell].sum() * 0.95
            target("", "income", income, state=state, band=band)
    for age in ("0-17", "18-64", "65+"):
        inside = (persons["age"] == age).to_numpy()
        target("person", "count", person_weight[inside].sum() * 0.97, age=age)
        target("person", "earnings", (persons["earnings"] * person_weight)[inside].sum(), age=age)
    for owner in (True, False):
        target("", "count", weight[households["owner"] == owner].sum(), owner=owner)
    target("", "wealth", -5000.0)
    target("", "wealth", 0.0, year=2021)
    return SmallSurvey(households, persons, pd.DataFrame(rows))


@pytest.fixture(params=["pandas", "polars", "pyarrow", "parquet", "csv", "csv.gz"])
def kind(request):
    """A test that asks for it runs for every kind of input."""
    return request.param


@pytest.fixture
def convert(tmp_path):
    """Give a pandas frame as some kind of input."""

    def converted(frame, kind, name="table"):
        table = pa.Table.from_pandas(frame, preserve_index=False)
        match kind:
            case "pandas":
                return frame
            case "polars":
                return pl.from_arrow(table)
            case "pyarrow":
                return table
        path = tmp_path / f"{name}.{kind}"
        if kind == "parquet":
            frame.to_parquet(path)
        else:
            frame.to_csv(path, index=False)
        return path

    return converted
