"""Which devices have bfloat16."""

from __future__ import annotations

from pathlib import Path

import torch


def has_bf16(device: torch.device) -> bool:
    """True if the device has bfloat16 matrix products; other devices emulate them."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    cpu = Path("/proc/cpuinfo")
    return cpu.exists() and bool({"amx_bf16", "avx512_bf16", "bf16"} & set(cpu.read_text().split()))
