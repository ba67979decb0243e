"""Tables of places by the names of their columns; what is wrong is told with its row and column."""

import numpy as np
import pyarrow
import pytest
from pyarrow import parquet

from smarties import errors
from smarties.inference import places


def test_columns_by_name_whatever_their_order(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("id,wet,warm\nx,1.5,2\ny,NA,3\nz,,4\n")
    want = [[2, 1.5], [3, np.nan], [4, np.nan]]
    got = places.numbers(places.table(file), ["warm", "wet"], file)
    np.testing.assert_array_equal(got, np.array(want, np.float32))
    parquet.write_table(
        pyarrow.table({"warm": [2, 3, 4], "wet": [1.5, None, None]}), tmp_path / "a.parquet"
    )
    again = places.numbers(places.table(tmp_path / "a.parquet"), ["warm", "wet"], file)
    np.testing.assert_array_equal(again, got)
    more = places.numbers(places.table(file), ["clay", "warm"], file, missing_ok=True)
    assert np.isnan(more[:, 0]).all() and (more[:, 1] == [2, 3, 4]).all()


@pytest.mark.parametrize(
    "content, said",
    [
        ("warm,wet\n1,2\n3,high\n", "row 2, column 'wet': 'high' is no number"),
        ("warm,wett\n1,2\n", "unknown column 'wet': did you mean 'wett'"),
        ("warm,wet,wet\n1,2,3\n", "column 'wet' is there 2 times"),
        ("warm,wet\n1,inf\n", "row 1, column 'wet': not a finite number"),
        ("", "cannot be read as CSV"),
    ],
)
def test_mistakes_are_one_line(tmp_path, content, said):
    file = tmp_path / "a.csv"
    file.write_text(content)
    with pytest.raises(errors.UserError, match=said):
        places.numbers(places.table(file), ["warm", "wet"], file)
    with pytest.raises(errors.UserError, match="cannot be read"):
        places.table(tmp_path / "none.csv")


def test_presences_are_0_or_1(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("oak,fern\n1,0\n0,3\n")
    assert places.presences(places.table(file), ["oak"], file).tolist() == [[1], [0]]
    with pytest.raises(errors.UserError, match="row 2, column 'fern': 3 is neither 0 nor 1"):
        places.presences(places.table(file), ["oak", "fern"], file)


def test_levels_become_indices(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("soil,warm\nloam,1\nclay,2\nrock,3\n,4\n")
    levels = {"soil": ("clay", "loam")}
    found = places.numbers(places.table(file), ["soil", "warm"], file, levels=levels)
    np.testing.assert_array_equal(found[:, 0], [1, 0, np.nan, np.nan])
