"""Simulated sweeps whose truth is known: what is printed covers it. Crashes that depend on the outcome do not pass."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.questions.countable_trials import countable_trials, started
from analysis.questions.simulated_coverage import LEVEL, coverage_of, scenarios
from analysis.questions.simulated_sweeps import World
from jobs.sweep_trades import anytime

SCENARIOS = {scenario.design: scenario for scenario in scenarios(anytime)}


def test_a_running_sweep_shows_what_a_report_would_find() -> None:
    world = World()
    early, ended = world.fixed(0, 10, look=0.3), world.fixed(0, 10)
    assert len(ended.records) == 80
    assert all(record.status == "finished" for record in ended.records)
    running = [record for record in early.records if record.status == "running"]
    assert len(started(running)) == 8
    counted, kind = countable_trials(early.records, early.history)
    assert kind == "blaker"
    assert 0 < sum(record.status == "finished" for record in counted) < 80


def test_trials_lost_with_and_without_an_onset_differ() -> None:
    for unseen in (False, True):
        lost = [
            record.verdict
            for record in World(diverging=1.0, unseen=unseen).fixed(1, 5).records
            if record.verdict and record.verdict.outcome == "censored"
        ]
        assert len(lost) > 10
        assert all(verdict.onset is not unseen for verdict in lost)


@pytest.mark.slow
@pytest.mark.parametrize("design", SCENARIOS)
def test_what_is_printed_covers(design: str) -> None:
    """Coverage is at least nominal up to the error of 30 sweeps, unless an exception is stated."""
    scenario = SCENARIOS[design]
    for found in coverage_of(scenario, 30):
        independent = len(found.covered) if found.errors else 30
        error = 4 * np.sqrt(LEVEL * (1 - LEVEL) / independent)
        assert scenario.exception or found.coverage >= LEVEL - max(error, 0.03), found.statement
