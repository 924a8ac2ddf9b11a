"""Trials that start from the weights of other trials or of a file."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.checkpoints.inputs import require_inputs, with_inputs
from core.checkpoints.starting_weights import read_starting_point
from core.config import Cell, ProtocolOptions, SeededCell, Sweep, Trial
from core.config.plugins import load_plugin
from core.data.image_set import Dataset
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.ledger.ledger import Ledger
from core.records import TrialRecord
from core.storage import CorruptFileError, Store
from core.verdict import censor
from tests import tiny
from tests.plugin_tables import printed_plugin

PROTOCOL = ProtocolOptions(**tiny.VERDICT)  # type: ignore[arg-type]


def sweep_of(*cells: Cell, name: str = "tuned", seeds: int = 2, **fields: Any) -> Sweep:
    entries = tuple(SeededCell(cell=cell, seeds=seeds) for cell in cells)
    return Sweep(name=name, preset="none", entries=entries, protocol=PROTOCOL, **fields)


def named(sweep: Sweep, storage: Path) -> Sweep:
    return with_inputs(sweep, str(storage), str(storage))


@pytest.fixture
def train(tmp_path: Path, load: Callable[[Cell], Dataset]) -> Callable[..., TrialRecord]:
    """A function that trains a trial as a worker does, in the storage ``tmp_path``."""

    def train(sweep: str, trial: Trial, report: Callable[..., None] = lambda *_: None) -> TrialRecord:
        record = run_trial(
            trial,
            PROTOCOL,
            lambda: load(trial.cell),
            TrialContext(
                sweep,
                Ledger(Store(str(tmp_path)).child(sweep), sweep).trial_store(trial.key),
                Ranks(),
                report,
                "none",
                Cadence(report_s=0, checkpoint_s=0),
                start=read_starting_point(trial, Store(str(tmp_path))),
            ),
        )
        assert record is not None
        return record

    return train


@pytest.fixture
def before(tmp_path: Path, make_cell: Callable[..., Cell], train: Callable[..., TrialRecord]) -> dict[int, TrialRecord]:
    """Records of the finished sweep ``before``, which has one cell and the seeds 0 and 1."""
    cell = make_cell()
    Ledger(Store(str(tmp_path)).child("before"), "before").enter(sweep_of(cell, name="before"))
    return {seed: train("before", Trial(cell=cell, seed=seed)) for seed in (0, 1)}


def weights(folder: Path, file: str = "last.pt") -> dict[str, torch.Tensor]:
    return torch.load(folder / file, weights_only=True)["model"]


def test_each_seed_starts_from_its_counterpart(
    tmp_path: Path,
    before: dict[int, TrialRecord],
    make_cell: Callable[..., Cell],
    train: Callable[..., TrialRecord],
) -> None:
    """A learning rate near 0 leaves the weights as they started; another method than before fine-tunes them."""
    still = {"lr": 1e-30, "weight_decay": 0, "epochs": 1, "method": "pgd-at"}
    for checkpoint in ("selected", "last"):
        asked = make_cell(**still, start_from="before", start_checkpoint=checkpoint)
        (entry,) = named(sweep_of(asked), tmp_path).entries
        assert entry.cell.start.start_from == f"before/{before[0].cell_id}"
        for seed in (0, 1):
            record = train("tuned", Trial(cell=entry.cell, seed=seed))
            source = tmp_path / "before" / "trials" / before[seed].key
            start, end = weights(source, f"{checkpoint}.pt"), weights(tmp_path / "tuned" / "trials" / record.key)
            moved = [name for name in start if not torch.equal(start[name], end[name])]
            assert all("running" in name or "num_batches" in name for name in moved)
            assert {name: record.provenance[f"start_{name}"] for name in ("from", "sha256", "outcome")} == {
                "from": f"before/{before[seed].key}/{checkpoint}.pt",
                "sha256": before[seed].checkpoints[f"{checkpoint}.pt"],
                "outcome": before[seed].verdict.outcome,  # type: ignore[union-attr]
            }
            assert int(record.provenance["start_epoch"]) <= 3


def test_a_trial_of_a_plugin_needs_its_sweep_alone(
    tmp_path: Path, make_cell: Callable[..., Cell], train: Callable[..., TrialRecord], fresh: Callable[[], None]
) -> None:
    """The driver and the worker, each a process without the plug-in, load the file that the earlier sweep stores."""
    (tmp_path / "my_method.py").write_text(printed_plugin())
    load_plugin(str(tmp_path / "my_method.py"))
    earlier = make_cell(method="squeezing", epochs=1)
    Ledger(Store(str(tmp_path)).child("before"), "before").enter(sweep_of(earlier, name="before"))
    for seed in (0, 1):
        train("before", Trial(cell=earlier, seed=seed))
    fresh()
    (entry,) = named(sweep_of(make_cell(method="pgd-at", start_from="before")), tmp_path).entries
    assert entry.cell.plugins == ()
    fresh()
    start = read_starting_point(Trial(cell=entry.cell, seed=1), Store(str(tmp_path)))
    assert start is not None
    assert start.origin["start_from"] == f"before/{earlier.id}-1/selected.pt"


@pytest.mark.slow
def test_one_trial_or_its_file_for_all_seeds_gives_the_same_bits(
    tmp_path: Path, before: dict[int, TrialRecord], make_cell: Callable[..., Cell], train: Callable[..., TrialRecord]
) -> None:
    shutil.copy(tmp_path / "before" / "trials" / before[1].key / "selected.pt", tmp_path / "mine.pt")
    asked = [make_cell(start_from=f"before/{before[1].key}"), make_cell(start_from=str(tmp_path / "mine.pt"))]
    sweep = named(sweep_of(*asked), tmp_path)
    assert named(sweep, tmp_path) == sweep
    require_inputs(sweep)
    by_key, by_file = (train("tuned", Trial(cell=entry.cell, seed=0)) for entry in sweep.entries)
    assert by_key.checkpoints.keys() == by_file.checkpoints.keys()
    folders = [tmp_path / "tuned" / "trials" / record.key for record in (by_key, by_file)]
    for file in by_key.checkpoints:
        one, other = (weights(folder, file) for folder in folders)
        assert all(torch.equal(one[name], other[name]) for name in one)
    content = hashlib.sha256((tmp_path / "mine.pt").read_bytes()).hexdigest()
    assert sweep.entries[1].cell.start.start_sha256 == by_file.provenance["start_sha256"] == content
    assert by_key.trace[0]["train/loss"] != before[0].trace[0]["train/loss"]


@pytest.mark.parametrize("method", ["trades", "sub-at"])
def test_a_trial_that_was_interrupted_goes_on_to_the_same_bits(
    tmp_path: Path,
    before: dict[int, TrialRecord],
    make_cell: Callable[..., Cell],
    train: Callable[..., TrialRecord],
    comparable: Callable[[TrialRecord], dict[str, Any]],
    method: str,
) -> None:
    """SubAT returns to its initial weights for its second stage."""

    def die(epoch: int, *_: Any) -> None:
        if epoch == 2:
            raise RuntimeError("died")

    options = {"sampling_share": 0.34, "subspace_lr": 0.05} if method == "sub-at" else {}
    asked = make_cell(start_from="before", method=method, inner="ce" if method == "sub-at" else "kl", **options)
    cell = named(sweep_of(asked), tmp_path).entries[0].cell
    trial = Trial(cell=cell, seed=0)
    whole = train("whole", trial)
    with pytest.raises(RuntimeError, match="died"):
        train("broken", trial, die)
    broken = train("broken", trial)
    assert {**comparable(broken), "sweep": "whole"} == comparable(whole)
    assert broken.provenance["start_sha256"] == before[0].checkpoints["selected.pt"]


@pytest.mark.usefixtures("before")
def test_what_cannot_be_started_from_is_one_clear_error(
    tmp_path: Path, before: dict[int, TrialRecord], make_cell: Callable[..., Cell]
) -> None:
    (tmp_path / "torn.pt").write_bytes(b"no checkpoint")
    cell_id, folder = before[0].cell_id, tmp_path / "before" / "trials" / before[0].key
    for options, message in (
        ({"start_from": "nosuch"}, r"--start-from nosuch: there is no sweep nosuch in .*known are before"),
        ({"start_from": "before/beta=6"}, "none of the 1 cells of sweep before has these options"),
        ({"start_from": "before/bta=6"}, "--start-from before/bta=6: unknown options: bta"),
        ({"start_from": "before/0123456789ab"}, "sweep before has no cell 0123456789ab"),
        ({"start_from": f"before/{cell_id}-7"}, f"sweep before has no finished trial {cell_id}-7"),
        (
            {"start_from": "before", "model": "resnet18"},
            "it has model small-cnn, and a cell of this sweep has resnet18",
        ),
        ({"start_from": "before", "classes": 6}, "it has classes 5, and a cell of this sweep has 6"),
        ({"start_from": "before", "validation_images": 10}, "it has validation_images 20, and"),
        ({"start_from": str(tmp_path / "none.pt")}, r"--start-from .*none.pt: there is no such file"),
        ({"start_from": str(tmp_path / "torn.pt")}, r"--start-from .*torn.pt is not a checkpoint"),
        ({"start_from": str(folder / "last.pt"), "start_sha256": "0" * 64}, "--start-sha256 0+: .* another SHA-256"),
        ({"start_from": str(folder / "last.pt"), "norm": "none"}, "it has norm batch, and"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            named(sweep_of(make_cell(**options)), tmp_path)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=f"--start-from before: sweep before has no finished trial {cell_id}-2"):
        named(sweep_of(make_cell(start_from="before"), seeds=3), tmp_path)
    with pytest.raises(ValueError, match=f"no finished trial {cell_id}-0-init4"):
        named(sweep_of(make_cell(start_from="before"), pin_groups=({"init": 4},)), tmp_path)
    with pytest.raises(ValueError, match=r"call core\.checkpoints\.inputs\.with_inputs"):
        require_inputs(sweep_of(make_cell(start_from="before")))


def test_a_failed_trial_or_a_missing_checkpoint_is_refused(
    tmp_path: Path, before: dict[int, TrialRecord], make_cell: Callable[..., Cell]
) -> None:
    ledger = Ledger(Store(str(tmp_path)).child("before"), "before")
    asked = sweep_of(make_cell(start_from="before", start_checkpoint="gated"))
    kept = {name: digest for name, digest in before[1].checkpoints.items() if name != "gated.pt"}
    file = ledger.trial_store(before[1].key)
    file.write("record.json", before[1].model_copy(update={"checkpoints": kept}).to_json())
    message = f"--start-checkpoint gated: trial {before[1].key} of sweep before has only last, selected"
    with pytest.raises(ValueError, match=message):
        named(asked, tmp_path)
    file.write("record.json", before[1].model_copy(update={"verdict": censor("diverged: loss")}).to_json())
    with pytest.raises(ValueError, match=f"trial {before[1].key} is censored .diverged: loss"):
        named(asked, tmp_path)


def test_a_sweep_of_several_cells_needs_one_of_them(
    tmp_path: Path, before: dict[int, TrialRecord], make_cell: Callable[..., Cell]
) -> None:
    Ledger(Store(str(tmp_path)).child("before"), "before").enter(
        sweep_of(make_cell(), make_cell(beta=6, lr=0.2), name="before")
    )
    with pytest.raises(ValueError, match=r"has 2 such cells; choose one, as in before/beta=3\.0,lr=0\.1"):
        named(sweep_of(make_cell(start_from="before")), tmp_path)
    sweep = named(sweep_of(make_cell(start_from="before/beta=3.0,lr=0.1,epsilon=1/10")), tmp_path)
    assert sweep.entries[0].cell.start.part == before[0].cell_id


def test_damaged_weights_are_never_started_from(
    tmp_path: Path, before: dict[int, TrialRecord], make_cell: Callable[..., Cell], train: Callable[..., TrialRecord]
) -> None:
    cell = named(sweep_of(make_cell(start_from="before")), tmp_path).entries[0].cell
    file = tmp_path / "before" / "trials" / before[0].key / "selected.pt"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CorruptFileError, match="is damaged"):
        train("tuned", Trial(cell=cell, seed=0))
