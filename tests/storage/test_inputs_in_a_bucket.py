"""Initial weights and extra images in a bucket are those of the local files, and what is missing there is named."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from core.checkpoints.inputs import with_inputs
from core.checkpoints.starting_weights import read_starting_point
from core.config import Cell, ProtocolOptions, SeededCell, Sweep, Trial
from core.data.extra import with_extra
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import Cadence, TrialContext
from core.ledger.ledger import Ledger
from core.storage import Store, s3
from tests import tiny
from tests.servers import ObjectStore

pytestmark = pytest.mark.server
PROTOCOL = ProtocolOptions(**tiny.VERDICT)  # type: ignore[arg-type]
EXTRA = "generated.npz"


@pytest.fixture
def bucket(object_store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a folder in a new bucket."""
    for name, value in object_store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UNMASK_CACHE", str(tmp_path / "cache"))
    s3._client.cache_clear()
    yield f"s3://{object_store.make_bucket()}/files"
    s3._client.cache_clear()


def tiny_cell(**options: Any) -> Cell:
    return Cell.from_flat({**tiny.CELL, **options})


def trained(sweep: str, cell: Cell, place: str) -> dict[str, torch.Tensor]:
    """The last weights of a trial of ``cell`` whose storage and data are at ``place``."""
    ledger = Ledger(Store(place).child(sweep), sweep)
    asked = Sweep(name=sweep, preset="none", entries=(SeededCell(cell=cell, seeds=1),), protocol=PROTOCOL)
    exact = with_inputs(asked, place, place)
    ledger.enter(exact)
    trial = Trial(cell=exact.entries[0].cell, seed=0)
    store, start = ledger.trial_store(trial.key), read_starting_point(trial, Store(place))
    dataset = with_extra(load_dataset(trial.cell.data, place), trial.cell.data, place)
    cadence = Cadence(report_s=0, checkpoint_s=0)
    context = TrialContext(sweep, store, Ranks(), lambda *_: None, "none", cadence, start=start)
    record = run_trial(trial, PROTOCOL, lambda: dataset, context)
    assert record is not None
    ledger.write(record)
    content = store.read("last.pt")
    assert content is not None
    (Path("last.pt")).write_bytes(content)
    return torch.load("last.pt", weights_only=True)["model"]


def test_a_bucket_gives_the_bits_of_a_folder(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    local = tmp_path / "files"
    local.mkdir()
    rng = np.random.default_rng(0)
    np.savez(local / EXTRA, image=rng.integers(0, 256, (30, 8, 8), dtype=np.uint8), label=rng.integers(0, 5, 30))
    Store(bucket).write(EXTRA, (local / EXTRA).read_bytes())
    found = []
    for place in (str(local), bucket):
        before = trained("before", tiny_cell(extra_data=EXTRA), place)
        after = trained("after", tiny_cell(start_from="before"), place)
        shutil.copy("last.pt", local / "mine.pt")
        Store(place).write("mine.pt", (local / "mine.pt").read_bytes())
        again = trained("again", tiny_cell(start_from=f"{place}/mine.pt"), place)
        found.append([before, after, again])
    for one, other in zip(*found, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    plain = trained("plain", tiny_cell(), str(local))
    for used in found[0]:
        assert not all(torch.equal(used[name], plain[name]) for name in plain)


def test_what_the_bucket_lacks_is_named(bucket: str) -> None:
    for options, message in (
        ({"extra_data": EXTRA}, f"--extra-data {EXTRA}: .* needs {EXTRA} in s3://.*, not found"),
        ({"start_from": f"{bucket}/none.pt"}, r"--start-from s3://.*/none.pt: there is no such file"),
        ({"start_from": "nosuch"}, "--start-from nosuch: there is no sweep nosuch in s3://"),
    ):
        with pytest.raises(ValueError, match=message):
            trained("tuned", tiny_cell(**options), bucket)
    with pytest.raises(ValueError, match=r"must be the name of a \.npz or \.pickle file in --data-dir"):
        tiny_cell(extra_data=f"{bucket}/{EXTRA}")
