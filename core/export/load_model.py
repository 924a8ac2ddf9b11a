"""The loader of this folder's network: ``from load_model import load_model``. It needs torch and safetensors."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def load_model(device: str = "cpu") -> torch.nn.Module:
    """The network in eval mode, from float images ``[n, C, H, W]`` in [0, 1] to logits ``[n, classes]``.

    It is what ``robustbench.benchmark(model, ...)`` takes: it contains no normalisation that a caller would have to do.
    """
    folder = Path(__file__).resolve().parent
    architecture = json.loads((folder / "card.json").read_text())["architecture"]
    package = _package(folder / "network")
    shape = package.Shape(**architecture["shape"])
    builder = getattr(package, architecture["builder"])
    model: torch.nn.Module = builder(*architecture["numbers"], shape, architecture["norm"])
    model.load_state_dict(load_file(folder / "weights.safetensors"))
    return model.to(device).eval()


def _package(folder: Path) -> Any:
    """The folder as a package under a name of its own, because several exports may be loaded at once."""
    name = f"network_of_{folder.parent.name}_{abs(hash(folder))}".replace("-", "_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            name, folder / "__init__.py", submodule_search_locations=[str(folder)]
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]
