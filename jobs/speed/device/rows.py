"""The rows for one device, in the order of their worth."""

from __future__ import annotations

from collections.abc import Callable
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from jobs.speed.device.bench import Bench


class Row(NamedTuple):
    """The address of a row's function, and the question that the row answers."""

    function: str
    about: str


ROWS = {
    "runs": Row("runs:variants", "does every variant and method train here, with the losses of a CPU"),
    "resume": Row("resume:resumed_bits", "does an interrupted training go on bit for bit, and what does that cost"),
    "float32": Row("products:rounding", "is float32 IEEE float32, and how fast are matrix products"),
    "step": Row("step:eager", "TFLOP/s, MFU and memory of the step of TRADES-10 on ResNet-18"),
    "verdict": Row("judging:verdict", "minutes of a verdict, searched in float32 and in the fastest type"),
    "validation": Row("judging:validation", "seconds of a validation, searched in float32 and in the fastest type"),
    "step-graph": Row("step:graph", "the step as one CUDA graph"),
    "attack": Row("attack:attack_loops", "the 10-step attack alone, eager, as a CUDA graph and compiled"),
    "packing": Row("packing:shared_device", "two and four trials on the device at once"),
    "memory": Row("memory:whole_trial", "memory of a whole trial on the device and on the host"),
    "step-compiled": Row("step:compiled", "the step with --compile"),
    "precision": Row("agreement:gradient_signs", "gradient signs of the attack that agree with float32"),
    "autoattack": Row("judging:auto_attack", "a block of AutoAttack"),
}


def function(name: str) -> Callable[[Bench], None]:
    """The function that measures the row ``name``. Its module is imported here, because it needs torch."""
    found: Any = resolve_name(f"jobs.speed.device.{ROWS[name].function}")
    return found
