"""One trial over its epochs: the paper's Figures 2, 3, 5, 6 and 7."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from analysis.report.figures.series import Pair, has, mark_events, outcome, series
from analysis.report.figures.style import INK, LOOKS, SERIES, Draw, Look, wrapped
from core.records import TrialRecord

FOSC_LOOK, SGCS_LOOK, PGD_LOOK, CLEAN_LOOK = SERIES[1], SERIES[2], SERIES[0], SERIES[3]


def masking(record: TrialRecord, name: str) -> Draw:
    """FOSC above, SGCS and PGD-10 accuracy on validation images below, over epochs (Figures 2 and 7)."""

    def draw(figure: SubFigure) -> None:
        top, bottom = _stacked(figure, f"{outcome(record).capitalize()}: {name}")
        _fosc(top, record)
        _line(bottom, record, "val/sgcs", "SGCS", SGCS_LOOK)
        _line(bottom, record, "val/pgd10_acc", "PGD-10 accuracy", PGD_LOOK)
        bottom.set_ylim(0, 1)
        _legend(bottom)
        mark_events([top, bottom], record)

    return draw


def accuracy_gap(record: TrialRecord, name: str) -> Draw:
    """FOSC above, clean minus adversarial training accuracy below, over epochs (Figure 3)."""

    def draw(figure: SubFigure) -> None:
        top, bottom = _stacked(figure, f"{outcome(record).capitalize()}: {name}")
        _fosc(top, record)
        _line(bottom, record, "train/gap", "train gap", PGD_LOOK)
        bottom.axhline(0, color=INK, linewidth=0.8)
        bottom.set_ylabel("clean − adv. acc.")
        mark_events([top, bottom], record)

    return draw


def self_healing(record: TrialRecord, name: str) -> Draw:
    """FOSC, clean training accuracy and, where measured, the weight gradient's norm over epochs (Figure 5)."""

    def draw(figure: SubFigure) -> None:
        with_norm = has(record, "grad/w_norm")
        axes = _stacked(figure, f"{outcome(record).capitalize()}: {name}", rows=3 if with_norm else 2)
        _fosc(axes[0], record)
        _line(axes[1], record, "train/clean_acc", "train acc.", CLEAN_LOOK)
        axes[1].set_ylabel("train acc.")
        if with_norm:
            _line(axes[2], record, "grad/w_norm", "gradient norm", PGD_LOOK)
            axes[2].set_ylabel("grad. norm")
        mark_events(axes, record)

    return draw


def healed_or_not(pair: Pair, name: str) -> Draw:
    """FOSC and PGD-10 accuracy of a trial without healing and of its twin with it (Figure 6)."""
    shown = (f"without healing: {outcome(pair.first)}", f"with healing: {outcome(pair.second)}")

    def draw(figure: SubFigure) -> None:
        top, bottom = _stacked(figure, f"With and without healing: {name}")
        for record, label, look in zip(pair, shown, (LOOKS["unstable"], LOOKS["healed"]), strict=True):
            _line(top, record, "val/fosc", label, look)
            _line(bottom, record, "val/pgd10_acc", label, look)
        _threshold(top, pair.second)
        top.set_ylabel("FOSC")
        top.set_ylim(bottom=0)
        bottom.set_ylabel("PGD-10 acc.")
        bottom.set_ylim(bottom=0)
        figure.legend(*top.get_legend_handles_labels(), loc="outside lower center", ncols=2)

    return draw


def _stacked(figure: SubFigure, title: str, rows: int = 2) -> list[Axes]:
    axes = list(figure.subplots(rows, 1, sharex=True))
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
    if found.empty:
        return
    every = max(1, len(found.epochs) // 6)
    ax.plot(
        *found, color=look.colour, linestyle=look.dash, marker=look.marker, markersize=3.5, markevery=every, label=name
    )


def _legend(ax: Axes) -> None:
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="best", ncols=2)
