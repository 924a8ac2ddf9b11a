"""Rows that are kept as columns, compared with the dictionaries that they are made from."""

from __future__ import annotations

import pickle
from math import isnan

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from core.records import Row, Rows

NAMES = st.sampled_from(["epoch", "val/fosc", "val/sgcs", "grad/w_norm"])
ROWS = st.lists(st.dictionaries(NAMES, st.none() | st.floats(allow_nan=False)), max_size=8)
PLAIN = TypeAdapter(list[Row])


class Holder(BaseModel):
    rows: Rows


@given(rows=ROWS)
def test_rows_are_the_dictionaries_they_were_made_from(rows: list[Row]) -> None:
    made = Rows(rows)
    assert (list(made), len(made)) == (rows, len(rows))
    assert [tuple(row) for row in made] == [tuple(row) for row in rows]
    assert made == rows == pickle.loads(pickle.dumps(made))
    assert made.last_values() == {name: value for row in rows for name, value in row.items()}
    for name in ("epoch", "val/fosc"):
        assert made.measured(name) == sum(name in row for row in rows)
        expected = [row.get(name) for row in rows]
        assert [None if isnan(value) else value for value in made.column(name)] == expected


@given(rows=ROWS)
def test_the_stored_bytes_are_those_of_dictionaries(rows: list[Row]) -> None:
    stored = Holder(rows=rows).model_dump_json().encode()
    assert stored == b'{"rows":' + PLAIN.dump_json(rows) + b"}"
    if all(value is None or abs(value) < 1e300 for row in rows for value in row.values()):
        assert Holder.model_validate_json(stored).rows == rows
    assert Holder(rows=Rows(rows)).rows == rows


def test_a_row_that_is_no_row_is_refused() -> None:
    with pytest.raises(ValueError, match="valid number"):
        Holder.model_validate_json('{"rows": [{"epoch": "first"}]}')
