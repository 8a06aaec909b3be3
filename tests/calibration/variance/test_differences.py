import numpy as np
import pyarrow as pa
import pytest

from l0.calibration.variance.differences import difference
from l0.calibration.variance.domains import find_domains
from l0.calibration.variance.statistics import Sample, total
from l0.common.errors import InputError
from l0.data.codings import Coding, labelled

TABLE = pa.table({"state": ["A", "A", "B", "B", "C"], "year": [1.0, 2.0, 1.0, 2.0, 1.0]})
X = np.array([1.0, 2.0, 5.0, 9.0, 4.0])


def compare(by, with_, rows=slice(None)):
    table = TABLE.take(np.arange(5)[rows])
    domains = find_domains(table, by)
    n = table.num_rows
    rows_of = Sample(np.ones((n, 2)), np.arange(n), domains.codes, domains.size)
    return difference(domains, total(rows_of, X[rows]), with_)


def test_each_domain_is_compared_with_the_one_of_the_other_label():
    domains, found = compare(["state", "year"], {"year": "1"}, slice(4))
    assert [column.to_pylist() for column in domains.columns] == [["A", "B"], [2.0, 2.0]]
    assert found.values[:, 0].tolist() == [1, 4]
    assert found.interval is None and np.isnan(found.simple_variance).all()
    domains, found = compare(["state"], {"state": "A"})
    assert domains.columns[0].to_pylist() == ["B", "C"]
    assert found.values.tolist() == [[11, 11], [1, 1]]
    assert found.n_records.tolist() == [2, 1]


def test_one_domain_can_be_compared_with_all_others():
    domains, found = compare(["state", "year"], {"state": "A", "year": 2})
    assert len(found.values) == 4
    assert found.values[:, 0].tolist() == [-1, 3, 7, 2]


def test_what_cannot_be_compared_is_named():
    with pytest.raises(InputError, match="asks for 'D' in 'state', which no domain has; there are"):
        compare(["state"], {"state": "D"})
    with pytest.raises(InputError, match=r"1 domains have no .* beside them \('state C, year 1.0'"):
        compare(["state", "year"], {"year": 2.0})
    with pytest.raises(InputError, match="no other domain is compared with it; name more columns"):
        compare(["state"], {"state": "A"}, slice(2))


def test_a_value_label_stands_for_its_code():
    area = Coding("stata", values=[[1, "North"], [2, "South"]]).on(pa.field("area", pa.int64()))
    domains = find_domains(pa.table([[1, 2, 2]], schema=pa.schema([area])), ["area"])
    assert labelled(domains.labels, "area") == ["1 North", "2 South"]
    found = total(Sample(np.ones((3, 2)), np.arange(3), domains.codes, 2), np.ones(3))
    kept, of = difference(domains, found, {"area": "North"})
    assert (kept.columns[0].to_pylist(), of.values[:, 0].tolist()) == ([2], [1.0])
    with pytest.raises(InputError, match=r"'East' is neither a code nor a value label of `table`"):
        difference(domains, found, {"area": "East"})
