"""Names and params of trials in MLflow, and the view that sets stable trials against unstable ones."""

from __future__ import annotations

import json

from mlflow import MlflowClient

from core.config import ProtocolOptions
from core.config.naming import TrialNames
from core.tracking import SweepTracker, prepare_store
from core.tracking.runs import SweepRuns, search_runs
from core.tracking.views import trials_view


def test_a_trial_has_its_name_and_what_varies(tmp_path, sample: type) -> None:
    uri = prepare_store(f"sqlite:///{tmp_path}/mlflow.db")
    trials = [sample.trial(seed=1, beta=beta) for beta in (1, 6)]
    records = {trial.key: sample.record(trial) for trial in trials}

    def write(names: TrialNames) -> dict[str, tuple[str, dict[str, str]]]:
        runs = SweepRuns(uri, "demo", {}, ProtocolOptions().model_dump(mode="json"), names)
        with SweepTracker(runs, records.get, records.values(), training=False) as tracker:
            assert tracker.close(None) == ""
        found = search_runs(MlflowClient(tracking_uri=uri), "tags.role = 'trial'")
        return {run.data.tags["trial_key"]: (run.info.run_name, run.data.params) for run in found}

    alone = write(TrialNames([trials[0].cell.flat()]))
    assert alone[trials[0].key] == ("seed=1 init=7", {"seed": "1", "init_seed": "7"})
    # the sweep was given a second cell: its trials get other names
    both = write(TrialNames(trial.cell.flat() for trial in trials))
    assert both[trials[0].key] == ("beta=1 seed=1 init=7", {"beta": "1.0", "seed": "1", "init_seed": "7"})


def test_the_view_has_a_chart_for_every_metric_and_fits_into_a_tag() -> None:
    view = json.loads(trials_view("quick", ["beta", "epsilon", "seed"]))
    assert view["searchFilter"] == "tags.sweep = 'quick' AND tags.role = 'trial'"
    kinds = [chart["type"] for chart in view["compareRunCharts"]]
    assert kinds == ["LINE"] * 4 + ["PARALLEL"]
    assert view["compareRunCharts"][-1]["selectedParams"] == ["beta", "epsilon", "seed"]
    columns = {section["uuid"]: section["columns"] for section in view["compareRunSections"]}
    assert [columns[chart["metricSectionId"]] for chart in view["compareRunCharts"]] == [2, 2, 2, 2, 1]
    assert len({chart["uuid"] for chart in view["compareRunCharts"]}) == len(kinds)
    # MLflow refuses an experiment's tag of more than 5000 characters
    assert len(trials_view("q" * 60, [f"an_option_of_the_cell_{i}" for i in range(8)])) < 5000
