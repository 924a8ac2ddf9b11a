"""The network to check, from a file or a library."""

from __future__ import annotations

import contextlib
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import torch
from torch import nn

from core.check.first_bytes import no_network
from core.check.options import NetworkOptions
from core.checkpoints.checkpoint import load_checkpoint, locate
from core.config import Cell, ModelOptions, Shape
from core.config.models import find_model
from core.models import build_model

STATE_KEYS = ("state_dict", "model_state_dict", "model")
"""Names under which training scripts commonly store the weights of a network."""


@dataclass(frozen=True)
class Network:
    """A network in eval mode on the CPU, from images in [0, 1] to logits."""

    model: nn.Module
    origin: str
    """What it is, in words."""
    cell: Cell | None = None
    """The setting that trained it, if it is a checkpoint of a sweep."""


def load_network(options: NetworkOptions, dataset: str, shape: Shape | None) -> Network:
    """Load the network that the options name.

    Args:
        options: a file and its builder, or a name in RobustBench.
        dataset: the data set, which RobustBench's models depend on.
        shape: shape of the data set's images; None if the data set isn't known.

    Raises:
        ValueError: the file, the builder or the library cannot be used; the message names the option.
    """
    if options.robustbench:
        return Network(_robustbench(options.robustbench, dataset).eval(), f"RobustBench {options.robustbench}")
    assert options.weights
    path = Path(options.weights)
    if options.model is None:
        return _without_builder(path)
    model = _built(options.model, shape)
    try:
        model.load_state_dict(_state_dict(path))
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:300]
        raise ValueError(f"--weights {path}: the weights do not fit --model {options.model}: {problem}") from error
    return Network(model.eval(), f"{path.name} in {options.model}")


def _without_builder(path: Path) -> Network:
    """A TorchScript file, or a checkpoint of a sweep."""
    with warnings.catch_warnings(), contextlib.suppress(RuntimeError):  # it is no TorchScript file
        warnings.simplefilter("ignore", FutureWarning)  # torch calls TorchScript deprecated
        return Network(torch.jit.load(path, map_location="cpu").eval(), f"TorchScript {path.name}")
    try:
        found = load_checkpoint(*locate(str(path)))
    except ValueError as error:
        raise ValueError(no_network(path)) from error
    return Network(found.model, f"{path.name} of seed {found.seed}, epoch {found.epoch}", found.cell)


def _built(name: str, shape: Shape | None) -> nn.Module:
    if ":" not in name:
        try:
            find_model(name)
        except ValueError as error:
            raise ValueError(f"--model {name}: {error}, or module:function") from error
        assert shape is not None
        return build_model(ModelOptions(model=name), shape, seed=0)
    sys.path.insert(0, str(Path.cwd()))  # a script's own folder is searched by Python, the user's folder is not
    try:
        built = resolve_name(name)()
    except Exception as error:  # the user's code may raise anything
        raise ValueError(f"--model {name}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    if not isinstance(built, nn.Module):
        raise ValueError(f"--model {name}: returned {type(built).__name__}, and a torch.nn.Module is needed")
    return built


def _state_dict(path: Path) -> dict[str, Any]:
    """The weights in a file, also inside a training script's dictionary or with the prefix of DataParallel."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # an unpickler may raise any error
        raise ValueError(f"--weights {path}: torch.load(weights_only=True) cannot read it ({error})") from error
    for key in STATE_KEYS:
        if isinstance(stored, dict) and isinstance(stored.get(key), dict):
            stored = stored[key]
    if not isinstance(stored, dict):
        raise ValueError(f"--weights {path}: holds {type(stored).__name__}, and a state dict is needed")
    wrapped = bool(stored) and all(str(name).startswith("module.") for name in stored)
    return {str(name).removeprefix("module."): value for name, value in stored.items()} if wrapped else stored


def _robustbench(name: str, dataset: str) -> nn.Module:
    try:
        from robustbench.utils import load_model
    except ImportError as error:
        raise ValueError(f"--robustbench {name}: needs the package robustbench ({error})") from error
    try:
        loaded: nn.Module = load_model(model_name=name, dataset=dataset, threat_model="Linf")
    except Exception as error:  # a name that the library does not know, or a failed download
        raise ValueError(f"--robustbench {name}: {type(error).__name__}: {error}") from error
    return loaded
