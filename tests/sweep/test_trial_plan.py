"""The trials of a sweep, and the condition for two sweeps to share a name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.questions.variance_components import variance_shares
from core.config import STREAMS, Cell, Rerun, SeededCell, Sweep
from core.engine.seeding import Streams
from core.ledger.description import DESCRIPTION
from core.ledger.ledger import Ledger, unfinished
from core.records import TrialRecord
from core.storage import Store
from core.sweep.trial_plan import fixed_trials, make_trial
from core.verdict import censor

INIT = ({"init": 0}, {"init": 1}, {"init": 7})


def test_the_kth_seed_of_every_cell_is_the_same(make_sweep: Callable[..., Sweep]) -> None:
    trials = fixed_trials(make_sweep(first_seed=5))
    assert [(trial.cell.method.beta, trial.seed) for trial in trials] == [(1, 5), (3, 5), (1, 6), (3, 6)]


def test_cells_may_have_chosen_seeds_of_their_own(make_sweep: Callable[..., Sweep]) -> None:
    one, other = (Cell.from_flat({"beta": beta}) for beta in (1, 3))
    entries = (SeededCell(cell=one, seeds=(4, 1, 9)), SeededCell(cell=other, seeds=(2,)))
    trials = fixed_trials(make_sweep(entries=entries))
    assert [(trial.cell.method.beta, trial.seed) for trial in trials] == [(1, 4), (3, 2), (1, 1), (1, 9)]


def test_groups_share_pinned_streams_and_nothing_else(make_sweep: Callable[..., Sweep]) -> None:
    trials = fixed_trials(make_sweep(pin_groups=INIT))
    assert len({trial.key for trial in trials}) == len(trials) == 2 * 2 * 3
    assert trials[0].key != make_trial(make_sweep(), trials[0].cell, trials[0].seed).key
    of_cell = [trial for trial in trials if trial.cell.method.beta == 1]
    for stream in STREAMS:
        seeds: dict[int, set[int]] = {}
        for trial in of_cell:
            seeds.setdefault(trial.pins["init"], set()).add(Streams.spawn(trial.seed, trial.pins).integer(stream))
        assert set(seeds) == {0, 1, 7}
        if stream == "init":
            assert all(len(found) == 1 for found in seeds.values())
        else:
            assert len(set.union(*seeds.values())) == 6


def test_more_seeds_or_groups_leave_earlier_trials_as_they_are(make_sweep: Callable[..., Sweep]) -> None:
    cell = Cell.from_flat({"beta": 1})
    few = make_sweep(pin_groups=INIT[:2], entries=(SeededCell(cell=cell, seeds=2),))
    many = make_sweep(pin_groups=INIT, entries=(SeededCell(cell=cell, seeds=4),))
    assert {trial.key for trial in fixed_trials(few)} < {trial.key for trial in fixed_trials(many)}


@pytest.mark.parametrize(("weight", "low", "high"), [(0.0, 0.0, 0.15), (1.0, 0.99, 1.0), (0.5, 0.3, 0.7)])
def test_attribution_finds_what_the_pinned_stream_decides(
    make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord], weight: float, low: float, high: float
) -> None:
    """Onset epochs are functions of the streams: ``weight`` of the variance from `init`, the rest from `order`."""
    groups = tuple({"init": value} for value in range(150))
    trials = fixed_trials(make_sweep(pin_groups=groups, entries=(SeededCell(cell=Cell.from_flat({}), seeds=4),)))
    records = []
    for trial in trials:
        streams = Streams.spawn(trial.seed, trial.pins)
        luck = {name: np.random.default_rng(streams.integer(name)).normal() for name in ("init", "order")}
        onset = round(1000 + 100 * (weight**0.5 * luck["init"] + (1 - weight) ** 0.5 * luck["order"]))
        record = make_record(trial, "unstable")
        assert record.verdict is not None
        verdict = record.verdict.model_copy(update={"onset_epoch": onset})
        records.append(record.model_copy(update={"verdict": verdict}))
    (found,) = variance_shares(records, "onset_epoch")
    assert (found.groups, found.trials, found.pinned) == (150, 600, ("init",))
    assert found.free == ("order", "augmentation", "attack")
    assert found.share is not None
    assert low <= found.share <= high


def test_a_name_may_gain_groups_but_not_mix_them(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)), "first")
    ledger.enter(make_sweep(pin_groups=INIT[:2]))
    ledger.enter(make_sweep(pin_groups=INIT))
    ledger.enter(make_sweep(pin_groups=INIT[:1]))
    for groups, message in [
        (({},), r"group 1: {'init': 0} stored, none given"),
        (({"order": 0},), r"group 1: {'init': 0} stored, {'order': 0} given"),
        ((INIT[0], INIT[2]), r"group 2: {'init': 1} stored, {'init': 7} given"),
    ]:
        with pytest.raises(ValueError, match=message):
            ledger.enter(make_sweep(pin_groups=groups))


def test_a_name_keeps_the_sweep_that_its_seeds_come_from(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)), "first")
    ledger.enter(make_sweep(rerun=Rerun(sweep="quick", where=("unstable",), counterparts={"a": "b"})))
    ledger.enter(make_sweep(rerun=Rerun(sweep="quick", where=("unstable",), counterparts={"c": "d"})))
    with pytest.raises(ValueError, match=r"seeds from where: .*unstable.* stored, .*healed.* given"):
        ledger.enter(make_sweep(rerun=Rerun(sweep="quick", where=("healed",), counterparts={})))
    with pytest.raises(ValueError, match="seeds from sweep: quick stored, None given"):
        ledger.enter(make_sweep())


def test_a_refused_sweep_leaves_its_name_free(make_sweep: Callable[..., Sweep], tmp_path: Path) -> None:
    ledger = Ledger(Store(str(tmp_path)), "first")
    ledger.describe(make_sweep())
    ledger.enter(make_sweep(protocol=make_sweep().protocol.model_copy(update={"fosc_threshold": 1.0})))
    with pytest.raises(ValueError, match=r"fosc_threshold: 1\.0 stored, 2\.5 given"):
        ledger.describe(make_sweep())


def test_a_crashed_trial_is_open_again_and_others_stay_closed(
    make_sweep: Callable[..., Sweep], make_record: Callable[..., TrialRecord], tmp_path: Path
) -> None:
    ledger = Ledger(Store(str(tmp_path)), "first")
    crashed, diverged, *_ = fixed_trials(make_sweep())
    ledger.write(make_record(crashed, "censored").model_copy(update={"verdict": censor("crashed: a node went away")}))
    ledger.write(make_record(diverged, "censored").model_copy(update={"verdict": censor("diverged: at epoch 3")}))
    assert [trial.key for trial in unfinished([crashed, diverged], ledger.records())] == [crashed.key]
    ledger.delete_crash(crashed.key)
    ledger.delete_crash(diverged.key)
    assert ledger.record(crashed.key) is None
    assert ledger.record(diverged.key) is not None


def test_a_protocol_option_that_was_added_later_counts_as_its_default(
    make_sweep: Callable[..., Sweep], tmp_path: Path
) -> None:
    store = Store(str(tmp_path))
    ledger = Ledger(store, "first")
    ledger.enter(make_sweep())
    description = json.loads(store.read(DESCRIPTION) or b"")
    for added in ("detector", "detector_threshold"):
        del description["protocol"][added]
    del description["sha256"], description["plans"]  # Neither was in files of earlier versions.
    store.write(DESCRIPTION, json.dumps(description).encode())
    chosen = {"detector": "sgcs-drop", "detector_threshold": 0.3}
    with pytest.raises(
        ValueError, match=r"detector: fosc stored, sgcs-drop given\n.*threshold: None stored, 0\.3 given"
    ):
        ledger.describe(make_sweep(protocol=make_sweep().protocol.model_copy(update=chosen)))
    ledger.enter(make_sweep())
    assert ledger.protocol() == make_sweep().protocol
