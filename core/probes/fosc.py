"""First-order stationary condition: how far an attack is from having converged."""

from __future__ import annotations

from torch import Tensor


def fosc(x_adv: Tensor, gradient: Tensor, center: Tensor, epsilon: float) -> Tensor:
    """``max over |delta| <= epsilon of <center + delta - x_adv, gradient>``, per image.

    Closed form ``epsilon * ||g||_1 - <x_adv - center, g>`` (TRADES instability paper, eq. 2 and Appendix E; Wang et al.
    2019). As in these papers, the maximum ignores the [0, 1] box.

    Args:
        x_adv: adversarial images that the attack returned, ``[n, C, H, W]``.
        gradient: gradient of each image's own cross-entropy at ``x_adv`` (of the batch's sum, not of its mean).
        center: natural images, as in the paper (then the value is never negative), or the attack's start.
        epsilon: radius of the l-infinity ball.

    Returns:
        ``[n]``, in units of the loss.
    """
    g = gradient.flatten(1)
    return epsilon * g.abs().sum(1) - ((x_adv - center).flatten(1) * g).sum(1)
