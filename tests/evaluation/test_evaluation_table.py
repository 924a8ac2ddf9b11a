from __future__ import annotations

import io
import statistics

from rich.console import Console

from analysis.report.tables.evaluation_table import GAP, evaluation_rows, evaluation_table
from analysis.report.tables.text_table import TerminalTable, markdown_table
from core.config import Cell
from core.records import Evidence, Measurement, TrialRecord, Verdict


def evidence(images: int = 1000, checkpoint: str = "selected", **accuracies: float) -> Evidence:
    return Evidence(
        checkpoint=checkpoint,
        epoch=3,
        measurements=tuple(
            Measurement(attack=name.replace("_", "-"), accuracy=value, images=images, split="test", seed=0)
            for name, value in accuracies.items()
        ),
    )


def record(seed: int, *evaluations: Evidence, beta: float = 1.0, outcome: str = "stable") -> TrialRecord:
    cell = Cell.from_flat({"beta": beta})
    return TrialRecord(
        sweep="s",
        cell_id=cell.id,
        cell=cell.flat(),
        seed=seed,
        protocol={},
        verdict=Verdict(outcome=outcome, onset=False),
        epochs_planned=3,
        epochs_run=3,
        evaluations=evaluations,
    )


PAPER = (  # Table 1: unstable and regular
    {"clean": 0.5593, "pgd_10": 0.2872, "apgd_ce": 0.1924, "square": 0.1215, "autoattack": 0.1042},
    {"clean": 0.5500, "pgd_10": 0.2700, "apgd_ce": 0.2600, "square": 0.2500, "autoattack": 0.2300},
)


def test_mean_sd_and_gap_over_seeds() -> None:
    rows = evaluation_rows([record(s, evidence(**PAPER[s])) for s in (0, 1)] + [record(2)])
    (row,) = rows
    assert (row.trials, row.unstable, row.images) == (2, 0, (1000,))
    for name, values in {
        "clean": (0.5593, 0.55),
        "autoattack": (0.1042, 0.23),
        GAP: (0.2872 - 0.1042, 0.27 - 0.23),
    }.items():
        assert row.accuracies[name].mean == statistics.mean(values)
        assert abs(row.accuracies[name].deviation - abs(values[0] - values[1]) / 2**0.5) < 1e-12


def test_a_part_of_a_sweep_is_named_as_the_whole() -> None:
    """Only one of the cells is evaluated; its row still says which one it is."""
    records = [record(0, evidence(**PAPER[0]), beta=6.0), record(0, beta=1.0)]
    table = evaluation_table(evaluation_rows(records))
    assert table.header[0] == "beta"
    assert [row[0] for row in table.rows] == ["6"]


def test_rows_per_outcome() -> None:
    outcomes = ("unstable", "stable", "unstable")
    records = [record(s, evidence(**PAPER[s % 2]), outcome=outcome) for s, outcome in enumerate(outcomes)]
    rows = {row.outcome: row for row in evaluation_rows(records, by_outcome=True)}
    assert {name: (row.trials, row.unstable) for name, row in rows.items()} == {"stable": (1, 0), "unstable": (2, 2)}
    assert rows["stable"].accuracies["clean"].deviation is None


def test_the_largest_evaluation_with_autoattack_counts() -> None:
    evaluations = (
        evidence(500, **PAPER[1]),
        evidence(100, **PAPER[0]),
        evidence(9000, clean=0.1, cw=0.05),
        evidence(9000, "last", **PAPER[0]),
    )
    (row,) = evaluation_rows([record(0, *evaluations)])
    assert (row.images, row.accuracies["clean"].mean, "cw" in row.accuracies) == ((500,), 0.55, False)
    (plain,) = evaluation_rows([record(0, *evaluations)], autoattack="autoattack-none")
    assert (plain.images, plain.accuracies["cw"].mean, GAP in plain.accuracies) == ((9000,), 0.05, False)


def test_modes_are_not_mixed() -> None:
    both = evidence(clean=0.9, pgd_10=0.5, autoattack=0.3, autoattack_standard=0.25)
    (row,) = evaluation_rows([record(0, both)], autoattack="autoattack-standard")
    assert row.accuracies[GAP].mean == 0.25
    assert "autoattack" not in row.accuracies


def test_text() -> None:
    records = [record(s, evidence(**PAPER[s]), beta=beta) for beta in (6.0, 1.0) for s in (0, 1)]
    rows = evaluation_rows(records)
    lines = markdown_table(evaluation_table(rows)).splitlines()
    assert lines[0] == "| beta | unstable / trials | Clean | PGD-10 | APGD-CE | Square | AutoAttack | Gap |"
    assert lines[2].startswith("| 1 | 0/2 | 0.5547 ± 0.0066 | 0.2786 ± 0.0122 |")
    assert lines[3].startswith("| 6 |")
    assert "first 1000 test images" in lines[-1]
    console = Console(width=100, file=io.StringIO())
    console.print(TerminalTable(evaluation_table(rows)))
    console.print(TerminalTable(evaluation_table([])))
    text = console.file.getvalue()
    assert "0.5547" in text
    assert "No evaluation yet" in text
