from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.speed.analysis_cost import make_records
from jobs.speed.fields_sweep import run_sweep, training_share
from jobs.speed.result import Settings

MakeSettings = Callable[..., Settings]


@pytest.fixture
def sweep_folder(tmp_path: Path) -> Path:
    """Two trials of 200 epochs of 1 device-second (0.9 training, 0.1 evaluation), 100 s apart, started at 1000 s."""
    folder = tmp_path / "swept"
    folder.mkdir()
    (folder / "sweep.json").write_text("{}")
    os.utime(folder / "sweep.json", (1000, 1000))
    uncensored = [r for r in make_records(27) if r.verdict and r.verdict.outcome != "censored"]
    for number, record in enumerate(uncensored[:2]):
        trial = folder / "trials" / record.key
        trial.mkdir(parents=True)
        (trial / "record.json").write_bytes(record.to_json())
        os.utime(trial / "record.json", (1100 + 100 * number,) * 2)
    return folder


def test_share_of_a_sweep_that_was_run(
    settings: MakeSettings, sweep_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    whole, epochs = training_share(settings(sweep_dir=sweep_folder))
    # 2 trials x 200 device-seconds in 200 s on 4 slots
    assert whole.values == pytest.approx((50.0,))
    assert epochs.values == pytest.approx((50.0,))


def test_sweep_that_was_continued_has_no_wall_time(settings: MakeSettings, sweep_folder: Path) -> None:
    os.utime(sweep_folder / "sweep.json", (1150, 1150))
    with pytest.raises(ValueError, match=r"--sweep-dir .*swept: the sweep .* was interrupted"):
        list(training_share(settings(sweep_dir=sweep_folder)))


def test_folder_without_a_sweep_is_refused(settings: MakeSettings, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"--sweep-dir .*: is not the folder of a sweep"):
        list(training_share(settings(sweep_dir=tmp_path)))


def test_failed_sweep_shows_why() -> None:
    said: list[str] = []
    with pytest.raises(RuntimeError, match=r"ended with code 3: no luck"):
        run_sweep([sys.executable, "-c", "import sys; sys.stderr.write('no luck'); sys.exit(3)"], 1, said.append)
    assert said == ["fields-sweep: no luck"]
