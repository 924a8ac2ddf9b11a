"""What a sweep with ``--until-decided`` has decided, in one sentence."""

from __future__ import annotations

from analysis.report.context import ReportContext


def decision_sentence(context: ReportContext) -> str:
    """The number of cells with each decision, and the error of the decisions; empty for other sweeps."""
    design = context.history.design
    zone = context.history.zone
    if design is None or zone is None or context.interval != "sequential" or context.label != "ever":
        return ""
    low, asked, high = (f"{100 * rate:.0f} %" for rate in zone)
    ended = [cell for cell in context.cells if design.reached(cell.unstable, cell.trials)]
    above = sum(design.decision(cell.unstable, cell.trials) == "above" for cell in ended)
    return (
        f"Decided: the rate is above {asked} in {above} and below it in {len(ended) - above} of {len(context.cells)} "
        f"cells. A decision is wrong with at most 5 %, unless the rate is between {low} and {high}, where none is "
        "promised."
    )
