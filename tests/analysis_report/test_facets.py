"""The arrangement of cells in tables: the factors of rows, columns and facets."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from analysis.report.facets import distinct_factors, facets


@dataclass(frozen=True)
class Cell:
    factors: dict


def test_two_factors_make_one_table_with_the_paper_s_first_as_rows():
    cells = [Cell({"batch_size": b, "beta": k}) for k, b in product((1.0, 3.0, 6.0), (128, 256, 512))]
    (table,) = facets(cells)
    assert (table.row_factor, table.column_factor) == ("beta", "batch_size")
    assert (table.rows, table.columns, table.fixed) == ([1.0, 3.0, 6.0], [128, 256, 512], {})
    for (row, column), cell in table.cells.items():
        assert cell.factors == {"beta": table.rows[row], "batch_size": table.columns[column]}
    assert len(table.cells) == 9


def test_table_2_of_the_paper_is_split_by_learning_rate_and_loses_no_cell():
    left = [Cell({"beta": k, "batch_size": b, "lr": 0.1}) for k, b in product((1, 3, 6), (128, 256, 512))]
    right = [Cell({"beta": k, "batch_size": 128, "lr": lr}) for k, lr in product((1, 3, 6), (0.01, 0.05))]
    tables = facets(left + right)
    assert [table.fixed for table in tables] == [{"lr": 0.1}, {"lr": 0.01}, {"lr": 0.05}]
    assert sum(len(table.cells) for table in tables) == 15
    assert tables[1].columns == [128]


def test_factors_with_most_values_are_rows_and_columns():
    cells = [
        Cell({"beta": k, "method": m, "epsilon": e}) for k, m, e in product((1, 2), ("a", "b"), (0.1, 0.2, 0.3, 0.4))
    ]
    assert {(t.row_factor, t.column_factor) for t in facets(cells)} == {("beta", "epsilon")}
    assert [t.fixed for t in facets(cells)] == [{"method": "a"}, {"method": "b"}]


def test_factors_that_follow_from_another_are_left_out():
    shapes = {"cifar10": 10, "cifar100": 100}
    cells = [Cell({"dataset": d, "classes": c, "beta": k}) for (d, c), k in product(shapes.items(), (1, 3))]
    assert distinct_factors(cells) == ["classes", "beta"]
    (table,) = facets(cells)
    assert table.fixed == {}


def test_one_factor_is_a_single_row_and_one_cell_a_single_field():
    (row,) = facets([Cell({"lr": 0.1}), Cell({"lr": 0.05})])
    assert (row.row_factor, row.column_factor, row.columns) == (None, "lr", [0.05, 0.1])
    (single,) = facets([Cell({})])
    assert (single.row_factor, single.column_factor, list(single.cells)) == (None, None, [(0, 0)])
    assert facets([]) == []


def test_missing_combinations_and_lists_as_values():
    cells = [Cell({"milestones": [75, 90], "beta": 1}), Cell({"milestones": [], "beta": 3})]
    # Each determines the other, and one factor suffices.
    (table,) = facets(cells)
    assert len(table.cells) == 2
