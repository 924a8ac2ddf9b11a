"""One trial, or a pair of trials, over epochs: the paper's Figures 2, 3, 5, 6 and 7."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from analysis.questions.rates import outcome
from analysis.report.figures.example_trials import Pair
from analysis.report.figures.series import has, mark_events, pgd_name, series
from analysis.report.figures.style import INK, LOOKS, SERIES, Draw, Look, wrapped
from core.records import TrialRecord

FOSC_LOOK, SGCS_LOOK, PGD_LOOK, CLEAN_LOOK = SERIES[1], SERIES[2], SERIES[0], SERIES[3]


def masking(record: TrialRecord, name: str) -> Draw:
    """FOSC above; SGCS and PGD accuracy on validation images below (Figures 2 and 7)."""

    def draw(figure: SubFigure) -> None:
        top, bottom = _stacked(figure, f"{outcome(record).capitalize()}: {name}")
        _fosc(top, record)
        _line(bottom, record, "val/sgcs", "SGCS", SGCS_LOOK)
        _line(bottom, record, "val/pgd10_acc", f"{pgd_name(record)} accuracy", PGD_LOOK)
        bottom.set_ylim(0, 1)
        _legend(bottom)
        mark_events(figure, [top, bottom], record)

    return draw


def accuracy_gap(record: TrialRecord, name: str) -> Draw:
    """FOSC above; clean minus adversarial training accuracy below (Figure 3)."""

    def draw(figure: SubFigure) -> None:
        top, bottom = _stacked(figure, f"{outcome(record).capitalize()}: {name}")
        _fosc(top, record)
        _line(bottom, record, "train/gap", "train gap", PGD_LOOK)
        bottom.axhline(0, color=INK, linewidth=0.8)
        bottom.set_ylabel("clean − adv. acc.")
        mark_events(figure, [top, bottom], record)

    return draw


def self_healing(record: TrialRecord, name: str) -> Draw:
    """FOSC and, if measured, clean training accuracy and the norm of the weight gradient (Figure 5)."""

    def draw(figure: SubFigure) -> None:
        below = [
            (metric, label, look)
            for metric, label, look in (
                ("train/clean_acc", "train acc.", CLEAN_LOOK),
                ("grad/w_norm", "grad. norm", PGD_LOOK),
            )
            if has(record, metric)
        ]
        axes = _stacked(figure, f"{outcome(record).capitalize()}: {name}", rows=1 + len(below))
        _fosc(axes[0], record)
        for ax, (metric, label, look) in zip(axes[1:], below, strict=True):
            _line(ax, record, metric, label, look)
            ax.set_ylabel(label)
        mark_events(figure, axes, record)

    return draw


def healed_or_not(pair: Pair, name: str) -> Draw:
    """FOSC and PGD accuracy of a trial without healing and of its twin with healing (Figure 6)."""
    shown = (f"without healing: {outcome(pair.first)}", f"with healing: {outcome(pair.second)}")

    def draw(figure: SubFigure) -> None:
        top, bottom = _stacked(figure, f"With and without healing: {name}")
        for record, label, look in zip(pair, shown, (LOOKS["unstable"], LOOKS["healed"]), strict=True):
            _line(top, record, "val/fosc", label, look)
            _line(bottom, record, "val/pgd10_acc", label, look)
        _threshold(top, pair.second)
        top.set_ylabel("FOSC")
        top.set_ylim(bottom=0)
        bottom.set_ylabel(f"{pgd_name(pair.second)} acc.")
        bottom.set_ylim(bottom=0)
        figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=2)

    return draw


def _stacked(figure: SubFigure, title: str, rows: int = 2) -> list[Axes]:
    axes = list(figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0])
    axes[0].set_title(wrapped(title))
    axes[-1].set_xlabel("epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels(axes)
    return axes


def _fosc(ax: Axes, record: TrialRecord) -> None:
    _line(ax, record, "val/fosc", "FOSC", FOSC_LOOK)
    _threshold(ax, record)
    ax.set_ylabel("FOSC")
    ax.set_ylim(bottom=0)


def _threshold(ax: Axes, record: TrialRecord) -> None:
    threshold = record.protocol["fosc_threshold"]
    ax.axhline(threshold, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    side = "bottom" if threshold < ax.get_ylim()[1] / 2 else "top"
    ax.annotate("threshold", (0.01, threshold), xycoords=("axes fraction", "data"), va=side, fontsize=7.5)


def _line(ax: Axes, record: TrialRecord, metric: str, name: str, look: Look) -> None:
    found = series(record, metric)
    measured = np.isfinite(found.values)  # some metrics are not measured in every epoch
    every = max(1, measured.sum() // 6)
    ax.plot(
        found.epochs[measured],
        found.values[measured],
        color=look.colour,
        linestyle=look.dash,
        marker=look.marker,
        markersize=3.5,
        markevery=every,
        label=name,
    )


def _legend(ax: Axes) -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best", ncols=2)
