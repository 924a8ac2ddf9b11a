"""The greatest rates of GPUs for dense matrix products, from NVIDIA's data sheets."""

from __future__ import annotations

PEAK_TFLOPS = {
    "H200": {"bf16": 989.0, "fp16": 989.0, "tf32": 494.0, "fp32": 67.0},
    "H100 PCIe": {"bf16": 756.0, "fp16": 756.0, "tf32": 378.0, "fp32": 51.0},
    "H100": {"bf16": 989.0, "fp16": 989.0, "tf32": 494.0, "fp32": 67.0},
    "A100": {"bf16": 312.0, "fp16": 312.0, "tf32": 156.0, "fp32": 19.5},
    "A10G": {"bf16": 70.0, "fp16": 70.0, "tf32": 35.0, "fp32": 31.5},
    "L40S": {"bf16": 362.0, "fp16": 362.0, "tf32": 183.0, "fp32": 91.6},
    "L4": {"bf16": 121.0, "fp16": 121.0, "tf32": 60.0, "fp32": 30.3},
    "T4": {"fp16": 65.0, "fp32": 8.1},
}
"""TFLOP/s by a part of the GPU's name and by number format. The first part that occurs in a name counts."""


def peak_tflops(hardware: str, precision: str) -> float | None:
    """The greatest rate of a GPU in TFLOP/s; None for unknown GPUs and for CPUs."""
    return next((rates.get(precision) for part, rates in PEAK_TFLOPS.items() if part in hardware), None)
