"""The source code of a network, as a package that imports nothing of this project."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module

from core.config import ModelOptions, Shape
from core.config.models import find_model

HOME = "core.models"
SHAPE_HEAD = '''"""The shape of a network's images and logits."""

from __future__ import annotations

from typing import NamedTuple


'''


def builder_of(options: ModelOptions) -> tuple[str, str, tuple[int, ...]]:
    """Module and name of the function that builds a network, and the numbers in the network's name.

    Raises:
        ValueError: the network comes from a plug-in, whose source is not part of this project.
    """
    spec, numbers = find_model(options.model)
    module, _, function = spec.builder.partition(":")
    if not module.startswith(f"{HOME}."):
        raise ValueError(f"model {options.model} comes from a plug-in, and only networks of {HOME} can be exported")
    return module, function, numbers


def network_files(options: ModelOptions) -> dict[str, str]:
    """The files of the package by name: every module of `core.models` that the network needs.

    Raises:
        ValueError: see `builder_of`.
    """
    first, function, _ = builder_of(options)
    files = {"shape.py": SHAPE_HEAD + inspect.getsource(Shape)}
    waiting = [first]
    while waiting:
        module = waiting.pop()
        source = inspect.getsource(import_module(module))
        files[f"{_short(module)}.py"] = _relative(source)
        waiting += [name for name in _imported(source) if f"{_short(name)}.py" not in files]
    files["__init__.py"] = (
        f'"""The network of this folder."""\n\nfrom .shape import Shape\nfrom .{_short(first)} import {function}\n\n'
        f'__all__ = ["Shape", "{function}"]\n'
    )
    return files


def _short(module: str) -> str:
    return module.rpartition(".")[2]


def _imported(source: str) -> list[str]:
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ImportFrom))
    return [node.module for node in nodes if node.module and node.module.startswith(f"{HOME}.")]


def _relative(source: str) -> str:
    return source.replace("from core.config import Shape", "from .shape import Shape").replace(
        f"from {HOME}.", "from ."
    )
