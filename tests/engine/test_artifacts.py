"""Large state of a method beside the checkpoint: written once, resumed to the same bits, removed when unneeded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from core.config import Cell
from core.engine.filenames import RECORD, RESUME
from core.engine.ranks import Ranks
from core.engine.resume import ResumeFiles
from core.engine.trial_state import TrialState
from core.records import TrialRecord
from core.storage import CorruptFileError, Store
from tests.engine.test_resume import dying

SUB_AT = {"method": "sub-at", "sampling_share": 0.5, "subspace_lr": 0.05, "epochs": 6}
"""Three epochs of the first stage, with two snapshots each, and three in the subspace."""


def inodes(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_ino for path in folder.iterdir() if path.name.startswith("artifact-")}


def test_each_is_written_once_and_deleted_when_no_checkpoint_names_it(tmp_path: Path) -> None:
    tensors = {name: torch.full((3,), float(i)) for i, name in enumerate("abc")}
    files = ResumeFiles(Store(str(tmp_path)), {})
    files.write(files.pack(TrialState(), {}, {"a": tensors["a"]}))
    first = inodes(tmp_path)
    files.write(files.pack(TrialState(), {}, {"a": tensors["a"], "b": tensors["b"]}))
    second = inodes(tmp_path)
    assert first.keys() == {"artifact-a.pt"}
    assert second.keys() == {"artifact-a.pt", "artifact-b.pt"}
    assert second["artifact-a.pt"] == first["artifact-a.pt"]  # a file that is written again is another file
    later = ResumeFiles(files.store, {})
    found = later.read(Ranks())
    assert found is not None
    assert {name: tensor.tolist() for name, tensor in found.artifacts.items()} == {"a": [0] * 3, "b": [1] * 3}
    later.write(later.pack(TrialState(), {}, {"b": tensors["b"], "c": tensors["c"]}))
    third = inodes(tmp_path)
    assert third.keys() == {"artifact-b.pt", "artifact-c.pt"}
    assert third["artifact-b.pt"] == second["artifact-b.pt"]
    later.delete()
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_no_checkpoint_names_is_not_read(tmp_path: Path) -> None:
    """A kill after the artifact and before the checkpoint leaves it."""
    store = Store(str(tmp_path))
    files = ResumeFiles(store, {})
    files.write(files.pack(TrialState(), {}, {"a": torch.zeros(3)}))
    store.write_sealed("artifact-b.pt", b"of a checkpoint that was never written")
    files = ResumeFiles(store, {})
    found = files.read(Ranks())
    assert found is not None
    assert found.artifacts.keys() == {"a"}
    files.write(files.pack(TrialState(), {}, {"a": torch.zeros(3), "b": torch.ones(3)}))
    again = ResumeFiles(store, {}).read(Ranks())
    assert again is not None
    assert again.artifacts["b"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-1])])
def test_a_missing_or_damaged_one_is_an_error(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    ResumeFiles(Store(str(tmp_path)), {}).write(
        ResumeFiles(Store(str(tmp_path)), {}).pack(TrialState(), {}, {"a": torch.zeros(3)})
    )
    damage(tmp_path / "artifact-a.pt")
    with pytest.raises(CorruptFileError, match=r"artifact-a\.pt is (missing|damaged)"):
        ResumeFiles(Store(str(tmp_path)), {}).read(Ranks())


def test_a_trial_with_artifacts_goes_on_to_the_same_bits(
    make_cell: Callable[..., Cell],
    run: Callable[..., TrialRecord],
    comparable: Callable[[TrialRecord], dict[str, Any]],
    tmp_path: Path,
) -> None:
    cell, folder = make_cell(**SUB_AT), tmp_path / "broken"
    whole = run(cell, folder="whole")
    held, checkpoints = [], []
    for epoch in (2, 3, 5):
        with pytest.raises(RuntimeError, match="died"):
            run(cell, folder="broken", report=dying(epoch))
        held.append(inodes(folder))
        checkpoints.append((folder / RESUME).stat().st_size)
    snapshots = {f"artifact-snapshot-{number}.pt" for number in range(7)}
    assert [set(names) for names in held] == [
        {name for name in snapshots if int(name[18]) < 3},  # the checkpoint is of epoch 1
        {name for name in snapshots if int(name[18]) < 5},
        {"artifact-directions.pt"},
    ]
    assert held[0].items() <= held[1].items()
    assert max(checkpoints) < 1.1 * min(checkpoints)
    broken = run(cell, folder="broken")
    assert comparable(broken) == comparable(whole)
    assert broken.attempts == 4
    assert sorted(path.name for path in folder.iterdir()) == sorted([*broken.checkpoints, RECORD])


def test_a_trial_whose_artifact_is_gone_starts_again(
    make_cell: Callable[..., Cell],
    run: Callable[..., TrialRecord],
    comparable: Callable[[TrialRecord], dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cell = make_cell(**SUB_AT)
    whole = run(cell, folder="whole")
    with pytest.raises(RuntimeError, match="died"):
        run(cell, report=dying(3))
    (tmp_path / "trial" / "artifact-snapshot-1.pt").unlink()
    again = run(cell)
    assert comparable(again) == comparable(whole)
    assert again.attempts == 2
    assert "artifact-snapshot-1.pt is missing; the trial starts again" in capsys.readouterr().out
