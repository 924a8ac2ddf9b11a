"""Summaries of a measure over all images. Values per image are added in float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from core.evaluation.measures.names import MeasureName
from core.evaluation.measures.per_image import WEIGHT_OFFSETS_1D, WEIGHT_OFFSETS_2D, input_offsets
from core.probes.margin import MAX_MARGIN

PERCENTILES = 101
"""Number of stored percentiles, 0 to 100."""
BINS = 15
"""Number of equal bins of confidence (Guo et al. 2017)."""
TAIL = 0.1
"""Share of the images in the top and in the bottom of the vulnerability."""

Arrays = Mapping[str, NDArray[np.float64]]


class Summary(NamedTuple):
    """Numbers and arrays that a record keeps of a measure."""

    values: dict[str, float]
    arrays: dict[str, list[float]]


def summarise(name: MeasureName, columns: Arrays, epsilon: float, pixels: int) -> Summary:
    """The summary of a measure.

    Args:
        name: the measure.
        columns: the values of `measure_images` of all blocks, in the order of the images.
        epsilon: radius of the attack.
        pixels: number of values of an image.
    """
    if name in _LANDSCAPES:
        return _landscape(columns["loss"], _LANDSCAPES[name](epsilon, pixels))
    return _SUMMARIES[name](columns)


def _moments(values: NDArray[np.float64], name: str = "") -> Summary:
    before = f"{name}_" if name else ""
    with np.errstate(invalid="ignore"):
        percentiles = np.percentile(values, np.linspace(0, 100, PERCENTILES)).tolist()
        found = {"mean": values.mean(), "sd": values.std(), "median": np.median(values)}
    return Summary({f"{before}{k}": float(v) for k, v in found.items()}, {f"{before}percentiles": percentiles})


def _vulnerability(columns: Arrays) -> Summary:
    """The columns of Table 1 of ISEAT (Li and Spratling 2025); the standard deviation is eq. 5's."""
    values = np.sort(columns["vulnerability"])
    tail = max(1, round(TAIL * len(values)))
    moments = _moments(values)
    more = {
        "top10": values[-tail:].mean(),
        "bottom10": values[:tail].mean(),
        "at_least_1": (values >= 1).mean(),
        "at_most_0": (values <= 0).mean(),
    }
    return Summary(moments.values | {name: float(value) for name, value in more.items()}, moments.arrays)


def _margin(columns: Arrays) -> Summary:
    """Shares of images by their margin in units of the attack's own l2 length (ISEAT, section 3.2)."""
    margin, length = columns["margin"], columns["attack_length"]
    relative = margin / np.maximum(length, np.finfo(np.float32).tiny)
    unchanged = margin >= MAX_MARGIN
    moments = _moments(margin)
    shares = {
        "attack_length": length.mean(),
        "within_attack": (relative <= 1).mean(),
        "within_third": (relative <= 1 / 3).mean(),
        "beyond_twice": (relative > 2).mean(),
        "unchanged": unchanged.mean(),
    }
    return Summary(moments.values | {name: float(value) for name, value in shares.items()}, moments.arrays)


def _lipschitz(columns: Arrays) -> Summary:
    largest, smallest = _moments(columns["largest"], "upper"), _moments(columns["smallest"], "lower")
    return Summary(largest.values | smallest.values, largest.arrays | smallest.arrays)


def _boundary(columns: Arrays) -> Summary:
    share, resisting = columns["distorted"].mean(), columns["resists_fgsm"].mean()
    of_resisting = share / resisting if resisting else 0.0
    return Summary({"share": float(share), "fgsm_acc": float(resisting), "of_resisting": float(of_resisting)}, {})


def _nearest(columns: Arrays) -> Summary:
    """Fooling rate over all images; norms over those that only the attack fooled (SEAT, Table D.2 says neither)."""
    right, fooled = columns["right"] > 0, columns["fooled"] > 0
    values = {"fooling": float(fooled.mean()), "accuracy": float(1 - fooled.mean())}
    if not (right & fooled).any():
        return Summary(values | {"mean_norm": float("nan")}, {})
    moments = _moments(columns["norm"][right & fooled])
    norms = {f"{name}_norm": moments.values[name] for name in ("mean", "median")}
    return Summary(values | norms, moments.arrays)


def _calibration(columns: Arrays) -> Summary:
    """Expected calibration error (Guo et al. 2017) and mean confidence minus accuracy, without and with the attack."""
    values: dict[str, float] = {}
    arrays: dict[str, list[float]] = {}
    for kind in ("clean", "attacked"):
        confidence, right = columns[f"{kind}_confidence"], columns[f"{kind}_right"]
        # a confidence on the border of two bins belongs to the lower one, as in the paper's half-open bins (a, b]
        bins = np.clip(np.ceil(confidence * BINS) - 1, 0, BINS - 1).astype(int)
        count, sure, hits = (np.bincount(bins, weight, BINS) for weight in (None, confidence, right))
        gap = np.abs(sure - hits).sum() / len(confidence)
        values |= {
            f"{kind}_ece": float(gap),
            f"{kind}_confidence": float(confidence.mean()),
            f"{kind}_acc": float(right.mean()),
            f"{kind}_overconfidence": float(confidence.mean() - right.mean()),
        }
        filled = np.maximum(count, 1)
        arrays |= {
            f"{kind}_bin_share": (count / len(confidence)).tolist(),
            f"{kind}_bin_confidence": (sure / filled).tolist(),
            f"{kind}_bin_accuracy": (hits / filled).tolist(),
        }
    return Summary(values, arrays)


def _landscape(loss: NDArray[np.float64], offsets: list[float]) -> Summary:
    mean = loss.mean(axis=0)
    middle = mean[tuple(size // 2 for size in mean.shape)]
    values = {"centre": float(middle), "highest": float(mean.max()), "rise": float(mean.mean() - middle)}
    return Summary(values, {"offsets": offsets, "loss": mean.ravel().tolist()})


_LANDSCAPES: dict[str, Callable[[float, int], list[float]]] = {
    "weight-landscape": lambda epsilon, pixels: WEIGHT_OFFSETS_1D,
    "weight-landscape-2d": lambda epsilon, pixels: WEIGHT_OFFSETS_2D,
    "input-landscape": input_offsets,
}
_SUMMARIES: dict[MeasureName, Callable[[Arrays], Summary]] = {
    "adversarial-vulnerability": _vulnerability,
    "margin": _margin,
    "linearity-error": lambda columns: _moments(columns["linearity_error"]),
    "lipschitz": _lipschitz,
    "boundary-distortion": _boundary,
    "calibration": _calibration,
    "minimal-deepfool": _nearest,
    "minimal-cw": _nearest,
}
