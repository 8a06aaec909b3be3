"""Make the three data sets that have the shape of data sets of GPL packages, and their totals.

``python tests/parity/make_synthetic.py`` writes them below `data/`; README.md says what they are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).parent / "data"
REGIONS = (
    "Burgenland", "Carinthia", "Lower Austria", "Salzburg", "Styria", "Tyrol", "Upper Austria",
    "Vienna", "Vorarlberg",
)  # fmt: skip


def eusilc(generator: np.random.Generator) -> pd.DataFrame:
    """Make 14,827 persons in 6,000 households, with the 28 columns of `eusilc` of laeken."""
    n, persons = 6_000, 14_827
    size = 1 + generator.choice(6, n, p=[0.3, 0.29, 0.16, 0.15, 0.07, 0.03])
    while excess := size.sum() - persons:
        movable = np.flatnonzero(size > 1 if excess > 0 else size < 6)
        size[generator.choice(movable, abs(excess), replace=False)] -= np.sign(excess)
    region = generator.choice(9, n, p=[0.04, 0.07, 0.19, 0.06, 0.14, 0.08, 0.17, 0.2, 0.05])
    of = np.repeat(np.arange(n), size)
    rank = np.arange(persons) - np.repeat(np.cumsum(size) - size, size)
    age = np.where(
        rank < 2, generator.integers(18, 96, persons), generator.integers(0, 30, persons)
    )
    adult, old = age >= 16, age >= 62
    working = adult & ~old

    def amount(share: float, median: float, who: np.ndarray) -> np.ndarray:
        drawn = generator.lognormal(np.log(median), 0.6, len(who)).round(2)
        return np.where(who & (generator.random(len(who)) < share), drawn, 0.0)

    personal = {
        "py010n": amount(0.65, 15_000, working),
        "py050n": amount(0.08, 12_000, working),
        "py090n": amount(0.07, 4_000, working),
        "py100n": amount(0.9, 13_000, old),
        "py110n": amount(0.05, 7_000, old),
        "py120n": amount(0.01, 3_000, working),
        "py130n": amount(0.02, 9_000, working),
        "py140n": amount(0.03, 2_500, working),
    }
    shared = {
        "hy040n": amount(0.06, 4_000, size > 0),
        "hy050n": amount(0.6, 4_000, size > 2),
        "hy070n": amount(0.04, 1_500, size > 0),
        "hy080n": amount(0.05, 3_000, size > 0),
        "hy090n": amount(0.75, 80, size > 0),
        "hy110n": amount(0.02, 1_000, size > 2),
        "hy130n": amount(0.07, 3_000, size > 0),
        "hy145n": amount(0.3, 400, size > 0) - amount(0.3, 400, size > 0),
    }
    older = np.bincount(of, age >= 14, n)
    equivalent = 1 + 0.5 * np.maximum(older - 1, 0) + 0.3 * np.minimum(size - older, size - 1)
    income = np.bincount(of, sum(personal.values()), n) + shared["hy050n"] + shared["hy090n"]
    weight = (generator.uniform(250, 750, n) * np.where(region == 7, 1.2, 1.0)).round(4)
    status = np.where(old, 5, generator.choice([1, 2, 3, 4, 6, 7], persons))
    citizenship = generator.choice(["AT", "EU", "Other"], persons, p=[0.9, 0.03, 0.07])
    return pd.DataFrame(
        {
            "db030": 1 + of,
            "hsize": size[of],
            "db040": np.array(REGIONS)[region[of]],
            "rb030": 100 * (1 + of) + 1 + rank,
            "age": age,
            "rb090": generator.choice(["male", "female"], persons),
            "pl030": pd.Series(status, dtype="Int64").where(adult),
            "pb220a": pd.Series(citizenship).where(adult),
            **{name: np.where(adult, values, np.nan) for name, values in personal.items()},
            **{name: values[of].round(2) for name, values in shared.items()},
            "eqSS": equivalent[of].round(1),
            "eqIncome": (income / equivalent)[of].round(2),
            "db090": weight[of],
            "rb050": weight[of],
        }
    )


def belgian(generator: np.random.Generator) -> pd.DataFrame:
    """Make 589 municipalities, with the 17 columns of `belgianmunicipalities` of sampling."""
    n = 589
    province = np.sort(generator.integers(1, 10, n))
    total = np.maximum(generator.lognormal(9.4, 0.8, n), 80).astype(int)
    men = (total * generator.normal(0.49, 0.005, n)).astype(int)
    women = total - men
    men_before = (men * generator.normal(0.997, 0.006, n)).astype(int)
    women_before = (women * generator.normal(0.997, 0.006, n)).astype(int)
    average = generator.normal(25_500, 3_200, n).astype(int)
    income = (total * average * generator.normal(0.46, 0.03, n)).astype(int)
    return pd.DataFrame(
        {
            "Commune": [f"Commune {number}" for number in range(1, n + 1)],
            "INS": 10_000 * province + np.arange(1, n + 1),
            "Province": province,
            "Arrondiss": 10 * province + generator.integers(1, 6, n),
            "Men04": men,
            "Women04": women,
            "Tot04": total,
            "Men03": men_before,
            "Women03": women_before,
            "Tot03": men_before + women_before,
            "Diffmen": men - men_before,
            "Diffwom": women - women_before,
            "DiffTOT": total - men_before - women_before,
            "TaxableIncome": income,
            "Totaltaxation": (income * generator.normal(0.27, 0.02, n)).astype(int),
            "averageincome": average,
            "medianincome": (average * generator.normal(0.76, 0.03, n)).astype(int),
        }
    )


def swiss(generator: np.random.Generator) -> pd.DataFrame:
    """Make 2,896 municipalities, with the 22 columns of `swissmunicipalities` of sampling."""
    n = 2_896
    region = generator.choice(7, n, p=[0.26, 0.32, 0.11, 0.06, 0.16, 0.06, 0.03]) + 1
    total = np.maximum(generator.lognormal(6.8, 1.2, n), 30).astype(int)
    men = (total * generator.normal(0.495, 0.012, n)).astype(int)
    ages = generator.multinomial(total, [0.23, 0.28, 0.33, 0.16])
    ones, twos, threes, fours = generator.multinomial(
        (total / generator.normal(2.4, 0.12, n)).astype(int), [0.31, 0.32, 0.13, 0.24]
    ).T
    area = np.maximum(generator.lognormal(6.7, 0.9, n), 30).astype(int)
    wood, fields, pasture = generator.multinomial(area, [0.3, 0.4, 0.1, 0.2]).T[:3]
    built = (6 + 0.035 * total * generator.lognormal(0, 0.3, n)).astype(int)
    return pd.DataFrame(
        {
            "CT": 4 * (region - 1) + generator.integers(1, 5, n),
            "REG": region,
            "COM": np.arange(1, n + 1),
            "Nom": [f"Gemeinde {number}" for number in range(1, n + 1)],
            "HApoly": area,
            "Surfacesbois": wood,
            "Surfacescult": fields,
            "Alp": pasture,
            "Airbat": built,
            "Airind": (built * generator.beta(1, 8, n)).astype(int),
            "P00BMTOT": men,
            "P00BWTOT": total - men,
            **dict(zip(("Pop020", "Pop2040", "Pop4065", "Pop65P"), ages.T, strict=True)),
            "H00PTOT": ones + twos + threes + fours,
            **{"H00P01": ones, "H00P02": twos, "H00P03": threes, "H00P04": fours},
            "POPTOT": total,
        }
    )


def drawn(
    population: pd.DataFrame, n: int, size: str, generator: np.random.Generator
) -> pd.DataFrame:
    """Draw n rows systematically, with probabilities by the root of `size`; `weight` is new."""
    probability = np.sqrt(population[size])
    probability *= n / probability.sum()
    while (probability > 1).any():
        certain = probability >= 1
        rest = probability[~certain]
        probability[~certain] = rest * (n - certain.sum()) / rest.sum()
        probability[certain] = 1.0
    order = generator.permutation(len(population))
    steps = np.floor(probability.iloc[order].cumsum() + generator.random() + 1e-9)
    rows = np.sort(order[np.diff(steps, prepend=0) > 0])
    sample = population.iloc[rows]
    return sample.assign(weight=1 / probability.iloc[rows])


def total(frame: pd.DataFrame, weight: pd.Series, name: str, variable: str, **labels: str) -> dict:
    """Make a row of the table of totals, under the name that R's model matrix gives it."""
    inside = np.logical_and.reduce([frame[column] == level for column, level in labels.items()])
    amount = 1 if variable == "count" else frame[variable]
    value = round((weight * amount * inside).sum())
    return {"name": name, "variable": variable, **labels, "value": value}


def write(name: str, records: pd.DataFrame, cells: pd.DataFrame, totals: list[dict]) -> None:
    """Write the three tables of a data set."""
    folder = DATA / name
    folder.mkdir(parents=True, exist_ok=True)
    packed = {"method": "gzip", "mtime": 0}
    records.to_csv(folder / "records.csv.gz", index=False, compression=packed)
    cells.to_csv(folder / "cells.csv", index=False)
    pd.DataFrame(totals).to_csv(folder / "totals.csv", index=False)


def make_eusilc() -> None:
    """Write the persons, and totals under weights that differ by household and person."""
    generator = np.random.default_rng(2006)
    persons = eusilc(generator)
    true = persons["rb050"] * generator.uniform(0.85, 1.15, 6_000)[persons["db030"] - 1]
    true *= np.where(persons["rb090"] == "female", 1.06, 0.96)
    true *= 1 + 0.12 * np.tanh((persons["age"] - 40) / 30)
    true *= generator.uniform(0.9, 1.1, 9)[persons["db040"].map(REGIONS.index)]
    labels = ["db040", "rb090", "hsize"]
    cells = true.groupby([persons[label] for label in labels]).sum().round().astype(int)
    rows = [total(persons, true, f"db040{r}", "count", db040=r) for r in REGIONS]
    rows.append(total(persons, true, "rb090male", "count", rb090="male"))
    amounts = ("age", "hsize", "hy050n", "hy090n")
    rows += [total(persons, true, name, name) for name in amounts]
    rows += [total(persons, true, f"db040{r}:eqIncome", "eqIncome", db040=r) for r in REGIONS]
    write("eusilc", persons, cells.rename("Freq").reset_index(), rows)


def make_municipalities(
    name: str, population: pd.DataFrame, sample: pd.DataFrame, label: str, amounts: tuple[str, ...]
) -> None:
    """Write a sample of municipalities, with the totals of the population."""
    one = pd.Series(1.0, population.index)
    cells = population.groupby(label).size()
    rows = [
        total(population, one, f"{label}{level}", "count", **{label: level})
        for level in cells.index
    ]
    rows += [total(population, one, amount, amount) for amount in amounts]
    write(name, sample, cells.rename("Freq").reset_index(), rows)


def main() -> None:
    """Make all three."""
    make_eusilc()
    generator = np.random.default_rng(2004)
    population = belgian(generator)
    sample = drawn(population, 100, "Tot03", generator)
    amounts = ("Tot04", "TaxableIncome", "Totaltaxation")
    make_municipalities("belgian", population, sample, "Province", amounts)
    generator = np.random.default_rng(2003)
    population = swiss(generator)
    sample = drawn(population, 420, "POPTOT", generator)
    amounts = (
        "P00BMTOT", "P00BWTOT", "Pop020", "Pop65P", "H00PTOT", "Surfacesbois", "Airbat",
    )  # fmt: skip
    make_municipalities("swiss", population, sample, "REG", amounts)


if __name__ == "__main__":
    main()
