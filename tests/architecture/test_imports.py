"""The allowed imports: they point inwards and down, and no two modules import each other."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.architecture.imports import ROOT, folder, imports, reached, within

LAYERS = (
    ("core.check", "core.export"),
    ("core.sweep", "core.evaluation"),
    ("core.command", "core.cluster", "core.tracking"),
    ("core.checkpoints",),
    ("core.ledger",),
    ("core.engine",),
    ("core.methods", "core.probes"),
    ("core.attacks",),
    ("core.allocation", "core.verdict", "core.models", "core.data"),
    ("core.config",),
    ("core.records", "core.storage", "core.source", "core.fast"),
    ("core",),
)
"""The folders of core from the top down. ``core`` are the modules outside these folders, such as `core.seal`."""
LEVELS = {room: level for level, layer in enumerate(reversed(LAYERS)) for room in layer}

WITH_FRAMEWORKS = ("core.sweep", "core.evaluation", "core.cluster", "core.tracking")
"""The folders of core that lead to Ray or MLflow."""

SPEED = "jobs.speed"
DOOR = "analysis.stored_sweep"
"""The module through which notebooks load a stored sweep; it alone in analysis reads the storage."""
FOR_ANALYSIS = ("core.quantity", "core.records", "core.config", "core.verdict", "core.allocation")

WITHOUT_FRAMEWORKS = (
    "core.ledger",
    "core.allocation",
    "core.records",
    "core.storage",
    "core.verdict",
    "core.config",
    "analysis",
)
"""Packages for reading and deciding do not import Ray, MLflow and torch, whose import takes seconds."""

FORBIDDEN = {
    "core does not know who uses it": (("core",), (), ("analysis", "jobs")),
    "analysis does not know its callers": (("analysis",), (), ("jobs",)),
    "statistics takes numbers": (("analysis.statistics",), (), ("core", "analysis.questions", "analysis.report")),
    "questions know neither paper nor report": (("analysis.questions",), (), ("analysis.report", "analysis.paper")),
    "the paper's numbers know no report": (("analysis.paper",), (), ("analysis.report",)),
    "one trial needs no Ray": (
        ("core", "analysis", "jobs"),
        ("core.sweep", "core.cluster", "core.evaluation", SPEED),
        ("ray",),
    ),
    "MLflow is a sink": (("core", "analysis", "jobs"), ("core.tracking", "jobs.deploy.add-mlflow-user"), ("mlflow",)),
}
"""Rules: the modules, the exceptions among them, and the modules that they must not import."""


def violations(about: tuple[str, ...], besides: tuple[str, ...], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{module} imports {imported}"
        for module, found in imports().items()
        if within(module, about) and not within(module, besides)
        for imported in sorted(found)
        if within(imported, forbidden)
    ]


@pytest.mark.parametrize("rule", FORBIDDEN)
def test_no_module_imports_what_is_forbidden_to_it(rule: str) -> None:
    assert violations(*FORBIDDEN[rule]) == []


def test_analysis_imports_of_core_only_what_records_are_made_of() -> None:
    found = [
        f"{module} imports {imported}"
        for module, names in imports().items()
        if within(module, ("analysis",))
        for imported in sorted(names)
        if within(imported, ("core",)) and not within(imported, FOR_ANALYSIS)
        if (module, imported) != (DOOR, "core.ledger.snapshot")
    ]
    assert found == []


@pytest.mark.parametrize("room", WITHOUT_FRAMEWORKS)
def test_no_import_leads_from_storage_and_statistics_to_a_framework(room: str) -> None:
    found = [
        f"{module} leads to {imported}"
        for module in imports()
        if within(module, (room,))
        for imported in sorted(reached(module))
        if within(imported, ("ray", "mlflow", "torch"))
    ]
    assert found == []


def test_folders_of_core_import_only_from_lower_layers() -> None:
    found = [
        f"{module} imports {imported}"
        for module, names in imports().items()
        if within(module, ("core",))
        for imported in sorted(names)
        if within(imported, ("core",)) and folder(imported) != folder(module)
        if LEVELS[folder(imported)] >= LEVELS[folder(module)]
    ]
    assert found == []


def test_every_folder_of_core_has_one_layer() -> None:
    rooms = {folder(module) for module in imports() if within(module, ("core",))}
    assert sorted(room for layer in LAYERS for room in layer) == sorted(rooms)


def test_the_picture_in_the_readme_shows_the_layers() -> None:
    _, _, text = (ROOT / "core" / "README.md").read_text().partition("## Layers")
    lines = [line for line in text.split("```")[1].splitlines() if line.startswith(" core")]
    assert [tuple(re.findall(r"core(?:\.\w+|(?=/))", line)) for line in lines] == list(LAYERS)


def test_only_the_drivers_and_tracking_lead_to_ray_or_mlflow() -> None:
    found = [
        f"{module} leads to {imported}"
        for module in imports()
        if within(module, ("core",)) and not within(module, WITH_FRAMEWORKS)
        for imported in sorted(reached(module))
        if within(imported, ("ray", "mlflow"))
    ]
    assert found == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_rules_are_about_modules_that_exist() -> None:
    named = {name for about, besides, _ in FORBIDDEN.values() for name in (*about, *besides)}
    named |= {*FOR_ANALYSIS, *WITHOUT_FRAMEWORKS, *WITH_FRAMEWORKS}
    assert [name for name in sorted(named) if name not in imports()] == []
