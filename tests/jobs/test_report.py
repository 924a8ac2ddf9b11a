"""The report of trials that the test trains and tracks."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mlflow import MlflowClient
from mlflow.entities import Run

from analysis.report.figures.example_trials import StoredCheckpoint
from analysis.statistics.intervals import clopper_pearson, interval
from core.config import Cell, ProtocolOptions, Sweep, Trial
from core.config.cell import Allocation
from core.config.naming import TrialNames
from core.config.sweep import Rerun, SeededCell
from core.data.image_set import to_float
from core.data.load import load_dataset
from core.engine.ranks import Ranks
from core.engine.trial import run_trial
from core.engine.trial_context import TrialContext
from core.evaluation.landscapes import IMAGES, POINTS, checkpoint_landscapes
from core.ledger.ledger import Ledger
from core.models import build_model
from core.records import Evidence, Measurement, TrialRecord, Verdict
from core.seal import sealed
from core.storage import Store
from core.sweep.live_state import LiveState
from core.tracking import open_tracker, prepare_store
from jobs.report import main

from ..analysis_report.chromium import CHROMIUM, browse

JOB = Path(__file__).parents[2] / "jobs" / "report.py"
CELL = Cell.from_flat({"dataset": "digits", "epochs": 2, "attack_steps": 2, "epsilon": 0.12, "attack_step_size": 0.06})
OTHER = Cell.from_flat({**CELL.flat(), "beta": 1.0})
NAMES = TrialNames([CELL.flat(), OTHER.flat()])
PROTOCOL = ProtocolOptions(verdict_images=20, square_queries=5, pgd50_restarts=1)


def judged(record: TrialRecord, unstable: bool) -> TrialRecord:
    """The record with a given verdict, because two epochs of the digits are never unstable."""
    accuracies = {"clean": 0.9, "fgsm": 0.6, "pgd-10": 0.5, "square": 0.1 if unstable else 0.48}
    measured = tuple(Measurement(attack=a, accuracy=v, images=20, split="test") for a, v in accuracies.items())
    verdict = Verdict(
        outcome="unstable" if unstable else "stable",
        onset=unstable,
        overestimation=unstable,
        catastrophic=False,
        onset_epoch=2 if unstable else None,
        onset_epochs=(2,) if unstable else (),
        evidence=tuple(Evidence(checkpoint=name, epoch=2, measurements=measured) for name in ("selected", "last")),
    )
    return record.model_copy(update={"verdict": verdict})


class Tracked:
    """Sweep ``tiny``: seeds 0 and 1 of one cell, stable and unstable, and seed 0 of another, unstable."""

    def __init__(self, folder: Path) -> None:
        self.storage = str(folder / "results")
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.ledger = Ledger(Store(self.storage).child("tiny"), "tiny")
        entries = (SeededCell(cell=CELL, seeds=2), SeededCell(cell=OTHER, seeds=1))
        self.ledger.enter(Sweep(name="tiny", preset="none", entries=entries, protocol=PROTOCOL))
        data = load_dataset(CELL.data, Path())
        self.records = []
        with open_tracker(self.uri, self.ledger, PROTOCOL, NAMES, [], training=True) as tracker:
            for trial in (Trial(cell=CELL, seed=0), Trial(cell=CELL, seed=1), Trial(cell=OTHER, seed=0)):
                store = self.ledger.trial_store(trial.key)
                around = TrialContext("tiny", store, Ranks(), lambda *_: None, "abc")
                trained = run_trial(trial, PROTOCOL, lambda: data, around)
                assert trained is not None
                record = judged(trained, unstable=len(self.records) > 0)
                store.write("record.json", record.to_json())
                tracker.start_trial(trial, 1)
                tracker.finish_trial(record)
                self.records.append(record)

    @property
    def options(self) -> tuple[str, ...]:
        """Options that locate the sweep."""
        return ("--storage", self.storage, "--mlflow-uri", self.uri)

    def parent(self, sweep: str = "tiny") -> Run:
        client = MlflowClient(self.uri)
        (run,) = client.search_runs(
            [client.get_experiment_by_name("unmask").experiment_id], f"tags.role = 'sweep' and tags.sweep = '{sweep}'"
        )
        return run

    def logged(self, path: str, sweep: str = "tiny") -> Path:
        return Path(MlflowClient(self.uri).download_artifacts(self.parent(sweep).info.run_id, path))


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Tracked:
    return Tracked(tmp_path_factory.mktemp("tracked"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
    assert {path.name for path in tmp_path.iterdir()} <= {
        "profile",
        "out",
        "out.html",
        "results",
        "mlflow.db",
        ".mlflow.db.lock",
    } | {f"{sweep}-{what}" for sweep in ("tiny", "live") for what in ("report.html", "figures")}, (
        "nothing else is left behind"
    )


@pytest.fixture
def dead_server() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *flags: str) -> str:
    """The error message of a call that must fail."""
    assert main(list(flags)) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert len(said.err.splitlines()) == 1
    return said.err


def test_prints_the_table_and_logs_the_page_to_the_sweep_s_run(tracked: Tracked, capsys: Capture) -> None:
    assert main(["--sweep", "tiny", *tracked.options]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 trials were unstable" in said
    assert re.search(r"1\s+1/1\s+100 %", said)
    assert "Intervals: blaker, 95 %, because the number of seeds was fixed in advance." in said
    page = Path("tiny-report.html").resolve()
    assert f"Report: {page}" in said
    run = tracked.parent()
    assert f"/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}?" in said
    assert tracked.logged("tiny-report.html").read_bytes() == page.read_bytes()
    assert run.info.status == "FINISHED"
    for record in tracked.records:
        assert record.key in page.read_text()


@pytest.mark.slow
def test_formats_leave_stdout_to_the_table(tracked: Tracked, capsys: Capture) -> None:
    for form, start in {"markdown": "| beta |", "latex": "% How likely"}.items():
        assert main(["--sweep", "tiny", *tracked.options, "--format", form]) == 0
        said = capsys.readouterr()
        assert said.out.startswith(start)
        assert "Report:" in said.err
        assert "Report:" not in said.out


@pytest.mark.slow
def test_csv_in_a_pipe(tracked: Tracked) -> None:
    command = [sys.executable, str(JOB), "--sweep", "tiny", *tracked.options, "--format", "csv"]
    command += ["--label", "overestimation", "--interval", "clopper-pearson", "--level", ".9"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True, env={**os.environ})
    rows = {float(row["beta"]): row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert set(rows) == {CELL.flat()["beta"], 1.0}
    row = rows[CELL.flat()["beta"]]
    assert (row["label"], row["unstable"], row["trials"]) == ("overestimation", "1", "2")
    exact = clopper_pearson(1, 2, 0.9)
    assert (float(row["interval_low"]), float(row["interval_high"])) == pytest.approx((exact.low, exact.high))


class Live:
    """Sweep ``live`` with three seeds of one cell. One has ended, and one is running."""

    def __init__(self, tracked: Tracked, allocation: Allocation = "fixed") -> None:
        self.storage = str(Path("results").resolve())
        self.options = ("--sweep", "live", "--storage", self.storage, "--mlflow-uri", tracked.uri)
        self.ledger = Ledger(Store(self.storage).child("live"), "live")
        sweep = Sweep(name="live", preset="none", entries=(SeededCell(cell=CELL, seeds=3),), protocol=PROTOCOL)
        self.ledger.enter(sweep)
        self.trials = [Trial(cell=CELL, seed=seed, allocation=allocation) for seed in range(3)]
        self.live = LiveState(sweep, {}, None if allocation == "adaptive" else self.trials)
        for trial in self.trials[:2]:
            self.live.start(trial, trial.key, 1)
        self.done = tracked.records[0].model_copy(update={"sweep": "live", "allocation": allocation})
        self.ledger.write(self.done)
        self.live.finish(self.done)
        self.live.advance(self.trials[1].key, self.done.trace[:1])
        self.ledger.write_progress(self.live.progress())


@pytest.mark.slow
def test_a_running_sweep_is_reported_while_its_driver_writes(tracked: Tracked, capsys: Capture) -> None:
    live = Live(tracked)
    with open_tracker(tracked.uri, live.ledger, PROTOCOL, NAMES, [live.done], training=True) as driver:
        driver.start_trial(live.trials[1], 1)
        while driver.waiting:
            time.sleep(0.02)
        assert main([*live.options]) == 0
        said = capsys.readouterr().out
        assert "So far, with 1 trial still running and others waiting: 0 of 1 trials" in said
        assert tracked.parent("live").info.status == "RUNNING"
        assert 'data-outcome="running"' in tracked.logged("live-report.html", "live").read_text()
    assert tracked.parent("live").info.status == "FINISHED"


def test_a_sweep_that_its_driver_stopped_says_why(tracked: Tracked, capsys: Capture) -> None:
    live = Live(tracked)
    because = "The sweep has stopped because its budget is used up."
    stopped = {"state": "interrupted", "stopped_because": because}
    live.ledger.write_progress(live.live.progress().model_copy(update=stopped))
    assert main([*live.options]) == 0
    assert because in " ".join(capsys.readouterr().out.split())
    assert because in Path("live-report.html").read_text()


@pytest.mark.slow
def test_an_adaptive_sweep_gets_its_interval_and_the_reason(tracked: Tracked, capsys: Capture) -> None:
    live = Live(tracked, "adaptive")
    live.ledger.write(live.done.model_copy(update={"seed": 2}))
    assert main([*live.options]) == 0
    said = capsys.readouterr().out
    assert "Intervals: anytime, 95 %, because this sweep looked at its results" in said
    assert "1 finished trials count once those with earlier seeds have ended" in said
    assert main([*live.options, "--interval", "wilson"]) == 0
    assert "its coverage is lower than its level" in capsys.readouterr().out


@pytest.mark.parametrize(
    "uri", ["dead server", *(pytest.param(uri, marks=pytest.mark.slow) for uri in ("no database", "no such sweep"))]
)
def test_the_storage_is_enough(tracked: Tracked, dead_server: str, uri: str, capsys: Capture) -> None:
    address = {"dead server": dead_server, "no database": f"sqlite:///{Path('none.db').resolve()}"}.get(uri)
    if address is None:
        address = prepare_store(f"sqlite:///{Path('mlflow.db').resolve()}")
    assert main(["--sweep", "tiny", "--storage", tracked.storage, "--mlflow-uri", address]) == 0
    said = capsys.readouterr().out
    assert "2 of 3 trials were unstable" in said
    (line,) = [line for line in said.splitlines() if "MLflow" in line]
    assert line.startswith("Not logged to MLflow: ")
    assert address in line
    page = Path("tiny-report.html").read_text()
    assert all(record.key in page for record in tracked.records)
    assert "/runs/" not in page


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--sweep", "nix"], "--sweep nix: there is no such sweep in .*; known are .*tiny"),
        (["--sweep", "tiny", "--storage", "empty"], "there is no such sweep in .*empty; no sweep is stored there"),
        ([], "--sweep is missing"),
        (["--sweep", "tiny", "--label", "odd"], "--label odd: must be any, overestimation"),
        (["--sweep", "tiny", "--interval", "wald"], "--interval wald: must be blaker"),
        (["--sweep", "tiny", "--format", "pdf"], "--format pdf: must be csv"),
        (["--sweep", "tiny", "--level", "95"], "--level 95: must be less than 1"),
        (["--sweep", "tiny", "--price", "-1"], "--price -1: must be at least 0"),
        (["--sweep", "tiny", "--output", "nowhere/x.html"], "--output nowhere/x.html: must be a file in an existing"),
        (["--sweep", "tiny", "--figures", "a", "b"], "--figures a b: takes one value"),
        (["--sweep", "tiny", "--mlflow-uri", "databricks"], "--mlflow-uri 'databricks' is not a store"),
    ],
)
def test_bad_input_is_one_clear_line(tracked: Tracked, capsys: Capture, flags: list[str], message: str) -> None:
    where = dict(zip(tracked.options[::2], tracked.options[1::2], strict=True))
    error = refused(capsys, *flags, *(word for name in where if name not in flags for word in (name, where[name])))
    assert re.search(message, error), error


@pytest.mark.slow
def test_figures_as_files_and_in_the_run(tracked: Tracked, capsys: Capture) -> None:
    assert main(["--sweep", "tiny", *tracked.options, "--figures"]) == 0
    said = capsys.readouterr().out
    assert "Figures 1, 2, 3:" in said
    names = {f"figure-{n}.{form}" for n in ("1-contour", "1-surface", 2, 3) for form in ("svg", "png")}
    assert {path.name for path in Path("tiny-figures").iterdir()} == names
    assert {path.name for path in tracked.logged("figures").iterdir()} == names
    drawn = Path("tiny-figures/figure-1-contour.svg").read_text()
    drawn = re.sub(r"\s+", " ", drawn)
    assert re.findall(r"(?:Uns|S)table, test image \d", drawn) == [
        f"{outcome}, test image {i}" for i in range(IMAGES) for outcome in ("Stable", "Unstable")
    ], "stable beside unstable"
    page = Path("tiny-report.html").read_text()
    for outcome, seed in (("stable", 0), ("unstable", 1)):
        assert f"Loss landscape, {outcome}: beta=3 seed={seed}, selected checkpoint." in page, "of one cell"


@pytest.fixture(scope="module")
def healed(tracked: Tracked) -> Tracked:
    """Sweep ``again`` with the unstable seed of one cell of ``tiny``, healed, and with a clean gated checkpoint."""
    cell = Cell.from_flat({**CELL.flat(), "heal": "fosc"})
    first = tracked.records[1]
    gated = first.verdict.evidence[0].model_copy(update={"checkpoint": "gated"})
    verdict = first.verdict.model_copy(update={"outcome": "healed", "evidence": (*first.verdict.evidence, gated)})
    what = {"sweep": "again", "cell": cell.flat(), "cell_id": cell.id, "verdict": verdict}
    record = first.model_copy(update=what)
    rerun = Rerun(sweep="tiny", where=("unstable",), counterparts={cell.id: CELL.id})
    entries = (SeededCell(cell=cell, seeds=(1,)),)
    ledger = Ledger(Store(tracked.storage).child("again"), "again")
    ledger.enter(Sweep(name="again", preset="none", entries=entries, protocol=PROTOCOL, rerun=rerun))
    ledger.write(record)
    with open_tracker(tracked.uri, ledger, PROTOCOL, NAMES, [], training=True) as tracker:
        tracker.start_trial(Trial(cell=cell, seed=1), 1)
        tracker.finish_trial(record)
    return tracked


def test_a_healed_sweep_finds_the_one_it_heals(healed: Tracked, capsys: Capture) -> None:
    flags = ["--sweep", "again", "--mlflow-uri", healed.uri, "--storage", healed.storage, "--figures", "out"]
    assert main([*flags, "--output", "out.html"]) == 0
    said = capsys.readouterr().out
    assert "trials of sweep tiny that ended stable (regular)" in said
    rows = [
        re.search(rf"^ {name} .*", said, re.MULTILINE)[0].split()[1:6] for name in ("trials", "checkpoint", "unstable")
    ]
    assert list(zip(*rows, strict=True)) == [
        ("regular", "selected", "0/1"),
        ("unstable", "selected", "1/1"),
        ("fixed", "gated", "0/1"),
        ("unstable", "last", "1/1"),
        ("fixed", "last", "0/1"),
    ]
    assert re.search(r"Figures [\d, ]*6: ", said)
    assert Path("out/figure-6.png").exists()
    page = Path("out.html").read_text()
    assert "Regular, unstable and fixed trials" in page
    assert "As Figure 6. With and without healing, seed=1: at the end unstable without, healed with" in page


@pytest.mark.slow
def test_without_the_earlier_sweep_a_sentence_says_so(healed: Tracked, tmp_path: Path, capsys: Capture) -> None:
    alone = tmp_path / "out"
    shutil.copytree(Path(healed.storage) / "again", alone / "again")
    flags = ["--sweep", "again", "--mlflow-uri", healed.uri, "--output", "out.html"]
    assert main([*flags, "--storage", str(alone)]) == 0
    assert "The comparison with the earlier sweep is left out: there is no sweep tiny in" in capsys.readouterr().out
    description = json.loads((alone / "again" / "sweep.json").read_text())
    del description["sha256"]
    (alone / "again" / "sweep.json").write_bytes(sealed(json.dumps({**description, "rerun": {}})))
    assert main([*flags, "--storage", str(alone)]) == 0
    assert "No trial without healing to compare with" in capsys.readouterr().out


@pytest.mark.slow
def test_without_weights_all_but_the_first_figure(tracked: Tracked, tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(tracked.storage, tmp_path / "results", ignore=shutil.ignore_patterns("*.pt"))
    flags = ["--sweep", "tiny", "--mlflow-uri", tracked.uri, "--storage", "results", "--figures", "out"]
    assert main(flags) == 0
    said = capsys.readouterr().out
    assert re.search(r"Figure 1 is left out: .*results/tiny/.*selected.pt: there is no such file", said)
    assert {path.name for path in Path("out").iterdir()} == {f"figure-{n}.{e}" for n in (2, 3) for e in ("svg", "png")}


def test_landscape_of_stored_weights_is_the_loss_along_the_gradient_s_sign(tracked: Tracked) -> None:
    record = tracked.records[1]

    offsets, losses = checkpoint_landscapes({"x": StoredCheckpoint(record, "last")}, tracked.ledger, ".")
    assert losses["x"].shape == (IMAGES, POINTS, POINTS)
    assert offsets[[0, POINTS // 2, -1]] == pytest.approx([-0.12, 0, 0.12], abs=1e-6)
    stored = torch.load(Path(tracked.storage) / "tiny" / "trials" / record.key / "last.pt", weights_only=True)
    model = build_model(CELL.model, CELL.data.shape, seed=5).eval()
    model.load_state_dict(stored["model"])
    test = load_dataset(CELL.data, Path()).test
    x, y = to_float(test.images[:IMAGES]).requires_grad_(), test.labels[:IMAGES]
    (gradient,) = torch.autograd.grad(F.cross_entropy(model(x), y, reduction="sum"), x)
    for index in (0, POINTS // 2, POINTS - 1):
        with torch.no_grad():
            expected = F.cross_entropy(model(x + float(offsets[index]) * gradient.sign()), y, reduction="none")
        found = losses["x"][:, index, POINTS // 2]
        assert np.allclose(found, expected.numpy(), rtol=1e-4, atol=1e-6)


def visible_text(page: str) -> str:
    """The text without tags and with single spaces."""
    body = re.sub(r"<style.*?</style>", "", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body)).replace("&nbsp;", " ")


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser_has_the_records_numbers(tracked: Tracked, tmp_path: Path, capsys: Capture) -> None:
    assert main(["--sweep", "tiny", *tracked.options, "--price", "36"]) == 0
    dumped = browse(tmp_path, "--dump-dom", f"file://{tmp_path}/tiny-report.html")
    text = visible_text(dumped)
    for k, n in ((1, 2), (1, 1)):
        low, high = interval("blaker", k, n).low, interval("blaker", k, n).high
        assert f"{k}/{n} {100 * k / n:.0f} % [{100 * low:.0f}–{100 * high:.0f}]" in text
        exact = interval("wilson", k, n)
        assert f"[{100 * exact.low:.0f}–{100 * exact.high:.0f}]" in text
    seconds = sum(record.device_seconds for record in tracked.records)
    assert f"At 36 per device-hour, {seconds / 100:.2f} was spent" in text
    runs = re.findall(r'href="http://127.0.0.1:5000/#/experiments/\d+/runs/(\w+)\?', dumped)
    client = MlflowClient(tracked.uri)
    assert {client.get_run(run).data.tags["trial_key"] for run in runs} == {r.key for r in tracked.records}
