"""The allowed imports: they point inwards, and no two modules import each other."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter

import pytest

from tests.architecture.imports import imports, reached, within

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


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(imports()).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(reversed(error.args[1])))


def test_the_rules_are_about_modules_that_exist() -> None:
    named = {name for about, besides, _ in FORBIDDEN.values() for name in (*about, *besides)}
    named |= {*FOR_ANALYSIS, *WITHOUT_FRAMEWORKS}
    assert [name for name in sorted(named) if name not in imports()] == []
