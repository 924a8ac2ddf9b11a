"""The first bytes of a file of weights, looked at before the import of torch, which takes seconds."""

from __future__ import annotations

from pathlib import Path

STARTS = (b"PK\x03\x04", b"\x80")
"""Beginnings of the zip file of `torch.save` and TorchScript, and of a pickle, the older format of `torch.save`."""


def require_weights(path: str, model: str | None) -> None:
    """Raise ValueError if torch cannot read the file by either name; ``model`` is what builds the network."""
    with Path(path).open("rb") as file:
        start = file.read(4)
    if start.startswith(STARTS):
        return
    if model is None:
        raise ValueError(no_network(path))
    raise ValueError(
        f"--weights {path}: torch.load(weights_only=True) cannot read it (neither a zip file nor a pickle)"
    )


def no_network(path: str | Path) -> str:
    """The error about a file that holds no network of its own."""
    return (
        f"--weights {path}: is neither TorchScript nor a checkpoint of a sweep; a state dict needs --model, the "
        "function that builds its network (--model my_module:build)"
    )
