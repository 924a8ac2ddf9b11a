"""Loss landscapes around an image: the paper's Figure 1."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import SubFigure
from matplotlib.ticker import MaxNLocator

from analysis.report.figures.style import Draw, wrapped


def surface(offsets: np.ndarray, loss: np.ndarray, *, title: str, top: float | None = None) -> Draw:
    """The loss over two directions as a surface.

    Args:
        offsets: ``[points]``, shared by both directions, in units of the image's range [0, 1].
        loss: ``[points, points]``, indexed by the offset along the sign of the input gradient, then by that along a
            Rademacher direction, as `core.probes.landscape` measures it.
        title: title of the panel, which names the checkpoint and the image.
        top: loss at the end of the scale, which panels that are compared share; None: the largest loss.
    """
    top = top or loss.max()

    def draw(figure: SubFigure) -> None:
        ax = figure.add_subplot(projection="3d")
        ax.plot_surface(
            *np.meshgrid(offsets, offsets),
            loss.T,
            cmap="cividis",
            vmin=0,
            vmax=top,
            linewidth=0.1,
            rasterized=True,
        )
        ax.set_title(wrapped(title), y=1.0)
        ax.set_xlabel("gradient sign", labelpad=-4)
        ax.set_ylabel("Rademacher", labelpad=-4)
        ax.set_zlabel("loss", labelpad=-2)
        ax.set_zlim(0, top)
        ax.tick_params(labelsize=7, pad=-2)
        ax.locator_params(nbins=5)
        ax.set_box_aspect((4, 4, 3), zoom=0.92)

    return draw


def contour(offsets: np.ndarray, loss: np.ndarray, *, title: str, top: float | None = None) -> Draw:
    """The loss over two directions as filled contours; arguments as for `surface`."""
    top = top or loss.max()

    def draw(figure: SubFigure) -> None:
        ax = figure.subplots()
        levels = MaxNLocator(12).tick_values(0, top)
        filled = ax.contourf(offsets, offsets, loss.T, levels=levels, cmap="cividis")
        ax.contour(offsets, offsets, loss.T, levels=levels[::2], colors="white", linewidths=0.6)
        ax.set_title(wrapped(title))
        ax.set_xlabel("along the sign of the gradient")
        ax.set_ylabel("along a Rademacher direction")
        ax.grid(visible=False)
        figure.colorbar(filled, ax=ax, label="loss")

    return draw
