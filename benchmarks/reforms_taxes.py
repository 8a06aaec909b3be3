"""Taxes of each unit of taxcalc's CPS: ``python -I reforms_taxes.py FILE``, written as npz.

Runs in an environment of its own, with `taxcalc`. Amounts are dollars of 2022.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from taxcalc import Calculator, Policy, Records

YEAR = 2022
#: Parameters of the law that each reform changes. All else is the law of 2022.
REFORMS: dict[str, dict[str, float | list[float]]] = {
    "current law": {},
    # 2,000 under current law. The refundable part keeps its limit of 1,500.
    "CTC 3,600": {"CTC_c": 3_600.0},
    # Single, joint, separate, head of household, widow: each 5,000 more than under current law.
    "standard deduction plus 5,000": {"STD": [17_950.0, 30_900.0, 17_950.0, 24_400.0, 30_900.0]},
    # 22% under current law.
    "third bracket 24%": {"II_rt3": 0.24},
    # 147,000 under current law.
    "social security cap 400,000": {"SS_Earnings_c": 400_000.0},
}
#: Each quantity is a sum of variables of taxcalc.
QUANTITIES = {
    "income tax": ("iitax",),  # after refundable credits
    "payroll tax": ("payrolltax",),  # the employers' share too
    "EITC": ("eitc",),
    "CTC": ("c07220", "c11070"),  # what lowers the income tax, and what is refunded
}


def taxes(reform: dict[str, float | list[float]]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give the number of each unit, and its quantities (a row each)."""
    policy = Policy()
    policy.implement_reform({name: {YEAR: value} for name, value in reform.items()})
    calculator = Calculator(policy=policy, records=Records.cps_constructor(), verbose=False)
    calculator.advance_to_year(YEAR)
    calculator.calc_all()
    amounts = [sum(map(calculator.array, variables)) for variables in QUANTITIES.values()]
    return calculator.array("RECID").astype(np.int64), np.stack(amounts).astype(np.float64)


if __name__ == "__main__":
    found = [taxes(reform) for reform in REFORMS.values()]
    np.savez_compressed(
        Path(sys.argv[1]),
        units=found[0][0],
        laws=list(REFORMS),
        quantities=list(QUANTITIES),
        amounts=np.stack([amounts for _, amounts in found]),
    )
