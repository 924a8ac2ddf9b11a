"""ROC curves of detectors."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import SubFigure
from matplotlib.ticker import PercentFormatter

from analysis.questions.detection import DetectorQuality
from analysis.report.figures.style import MUTED, SERIES, Draw


def roc(detectors: Sequence[DetectorQuality]) -> Draw:
    """Hit rate against false-alarm rate over all thresholds, for as many of `detectors` as there are line styles."""

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        for quality, look in zip(detectors, SERIES, strict=False):
            ax.plot(
                quality.false_alarm_rate,
                quality.hit_rate,
                color=look.colour,
                linestyle=look.dash,
                marker=look.marker,
                markersize=3.5,
                markevery=max(1, len(quality.hit_rate) // 6),
                drawstyle="steps-post",
                label=f"{quality.name} ({quality.auc:.2f})",
            )
        ax.plot([0, 1], [0, 1], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        ax.set_xlim(-0.02, 1.02)
        ax.set_ylim(-0.02, 1.02)
        ax.set_xlabel("share of other trials with an alarm")
        ax.set_ylabel("share of unstable trials found")
        ax.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        ax.yaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
        figure.legend(loc="outside lower center", ncols=2)

    return draw
