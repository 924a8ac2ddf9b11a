"""Plug-ins: files and installed packages outside the project that register methods, models and data sets.

A plug-in is Python code that calls `core.config.register_method`, `register_model` or `register_dataset` when it is
run. A process that builds its cells must have run the same code, which the plug-in's version identifies.
"""

from __future__ import annotations

import hashlib
import platform
import re
import sys
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.abc import ExecutionLoader
from importlib.machinery import ModuleSpec
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from pkgutil import resolve_name

from core.config.attack import AwpOptions, InnerAttackOptions
from core.config.datasets import DATASETS
from core.config.methods.registry import METHODS
from core.config.models import MODELS, find_model
from core.source.tree import tree_id

GROUP = "unmask.plugins"
"""Group of the entry points by which installed packages offer plug-ins."""
FILE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\.py")
MAX_BYTES = 1_000_000
MAX_MESSAGE = 300
"""Characters of an error of a plug-in's code that a message shows."""
VERSION_DIGITS = 12
TABLES: Mapping[str, Mapping[str, object]] = {"method": METHODS, "model": MODELS, "data set": DATASETS}


class PluginError(ValueError):
    """A plug-in is missing, does not work, or has another version than the one that is needed."""


@dataclass(frozen=True)
class Plugin:
    """A plug-in, with its code if it is a file.

    Attributes:
        name: name of the file, such as ``my_method.py``, or of an installed package's entry point.
        version: first digits of the SHA-256 of the file; for a package, of git's hash of its folder.
        source: content of the file; empty for an installed package, which every machine must have.
    """

    name: str
    version: str
    source: str = ""

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


_LOADED: dict[str, Plugin] = {}
_REGISTERED: dict[tuple[str, str], Plugin] = {}
"""(table, name of the row) -> the plug-in that registered it."""


def load_plugin(given: str, folder: Path | None = None) -> Plugin:
    """Run the plug-in at the path ``given``, or the installed one of this name, unless it has been run already.

    Args:
        given: path that ends with ``.py``, or name of an entry point in the group ``unmask.plugins``.
        folder: folder to which a path is relative; None: the current folder.

    Raises:
        PluginError: there is no such plug-in, its code fails, or it registers nothing.
    """
    plugin = _read((folder or Path()) / given) if given.endswith(".py") else _installed(given)
    use_plugin(plugin)
    return plugin


def use_plugin(plugin: Plugin) -> None:
    """Run the plug-in, unless it has been run already.

    Raises:
        PluginError: the code fails, registers nothing, or has another version than the plug-in of the same name that
            was run before; or this machine lacks the installed package, or has another version of it.
    """
    known = _LOADED.get(plugin.name)
    if known == plugin:
        return
    if known:
        raise PluginError(f"plug-in {plugin.name} is loaded in version {known.version}, not {plugin.version}")
    if not plugin.source and _installed(plugin.name) != plugin:
        raise PluginError(
            f"plug-in {plugin.name} is installed on {platform.node()} in version {_installed(plugin.name).version}, "
            f"not {plugin.version}: install the same package on every node"
        )
    before = {table: set(rows) for table, rows in TABLES.items()}
    try:
        _run(plugin)
        new = [(table, name) for table, rows in TABLES.items() for name in rows if name not in before[table]]
        for table, name in new:
            _check_row(table, name)
    except (Exception, SystemExit) as error:  # a plug-in's code may raise any error
        text = " ".join(str(error).split())[:MAX_MESSAGE]
        raise PluginError(f"plug-in {plugin.name}: {_line_of(error, plugin)}{type(error).__name__}: {text}") from error
    if not new:
        raise PluginError(
            f"plug-in {plugin.name} registers nothing: it must call register_method, register_model or register_dataset"
        )
    _LOADED[plugin.name] = plugin
    _REGISTERED.update(dict.fromkeys(new, plugin))


def plugins_of(method: str, model: str, dataset: str) -> tuple[Plugin, ...]:
    """The plug-ins that registered one of these, by name."""
    rows = (("method", method), ("model", find_model(model)[0].name), ("data set", dataset))
    found = {_REGISTERED[row] for row in rows if row in _REGISTERED}
    return tuple(sorted(found, key=lambda plugin: plugin.name))


def registered_by(plugin: Plugin) -> list[str]:
    """What the plug-in registered, such as ``method squeezing``."""
    return [f"{table} {name}" for (table, name), owner in _REGISTERED.items() if owner == plugin]


def check_loaded(names: Iterable[str]) -> None:
    """Check that plug-ins are loaded in the versions that a stored cell names, such as ``my_method.py@3fa2b1c4d5e6``.

    Raises:
        PluginError: a plug-in is not loaded, or is loaded in another version.
    """
    loaded = {name: str(plugin) for name, plugin in _LOADED.items()}
    for wanted in names:
        name = wanted.rpartition("@")[0]
        if loaded.get(name) != wanted:
            found = f"{loaded[name]} is loaded" if name in loaded else "it is not loaded"
            raise PluginError(f"plug-in {wanted} is needed, and {found}; give --plugin with the file of that version")


def file_plugin(name: str, content: bytes) -> Plugin:
    """The plug-in of a file with this name and content. Its code is not run.

    Raises:
        PluginError: the name or the content is not that of a Python file of moderate size.
    """
    if not FILE_NAME.fullmatch(name):
        raise PluginError(f"plug-in {name}: the name must be letters, digits, _ or -, and .py")
    if len(content) > MAX_BYTES:
        raise PluginError(f"plug-in {name} is larger than {MAX_BYTES / 1e6:g} MB")
    try:
        source = content.decode()
    except UnicodeDecodeError as error:
        raise PluginError(f"plug-in {name} is not text in UTF-8") from error
    if not source.strip():
        raise PluginError(f"plug-in {name} is empty")
    return Plugin(name, hashlib.sha256(content).hexdigest()[:VERSION_DIGITS], source)


def _read(path: Path) -> Plugin:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise PluginError(f"plug-in {path} can't be read: {getattr(error, 'strerror', None) or error}") from error
    return file_plugin(path.name, content)


def _installed(name: str) -> Plugin:
    """The installed plug-in of this name. Its code is not run."""
    module = _entry_point(name).module
    spec = find_spec(module.partition(".")[0])
    if spec is None or spec.origin is None:
        raise PluginError(f"plug-in {name}: its package has no module {module}")
    origin = Path(spec.origin)
    if spec.submodule_search_locations:
        return Plugin(name, tree_id(origin.parent)[:VERSION_DIGITS])
    return Plugin(name, hashlib.sha256(origin.read_bytes()).hexdigest()[:VERSION_DIGITS])


def _entry_point(name: str) -> EntryPoint:
    offered = entry_points(group=GROUP)
    if name not in offered.names:
        names = ", ".join(sorted(offered.names)) or "none"
        raise PluginError(
            f"plug-in {name}: is neither a path that ends with .py nor an installed plug-in; installed on "
            f"{platform.node()}: {names}"
        )
    return offered[name]


def _run(plugin: Plugin) -> None:
    if not plugin.source:
        import_module(_entry_point(plugin.name).module)
        return
    name = f"unmask_plugin_{plugin.name.removesuffix('.py').replace('-', '_')}_{plugin.version}"
    loader = _SourceLoader(plugin)
    module = module_from_spec(ModuleSpec(name, loader))
    sys.modules[name] = module  # the registered texts `module:name` are resolved by it
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


class _SourceLoader(ExecutionLoader):
    """The loader of a plug-in's module, by which tracebacks and `inspect` find its source."""

    def __init__(self, plugin: Plugin) -> None:
        self.plugin = plugin

    def get_filename(self, fullname: str) -> str:
        return self.plugin.name

    def get_source(self, fullname: str) -> str:
        return self.plugin.source


def _check_row(table: str, name: str) -> None:
    """Raise an error if a registered row cannot be used, which would otherwise be seen only when a trial starts."""
    if table == "method":
        entry = METHODS[name]
        attack = InnerAttackOptions()
        entry.options().step_passes(attack, AwpOptions(awp_radius=0.01))
        if missing := sorted(entry.options.fixed - entry.options.part_defaults(attack.epsilon).keys()):
            raise PluginError(f"method {name} fixes options that part_defaults lacks: {', '.join(missing)}")
        used = entry.implementation
    else:
        used = MODELS[name].builder if table == "model" else DATASETS[name].reader
    try:
        found = resolve_name(used)
    except (ImportError, AttributeError, ValueError) as error:
        raise PluginError(f"{table} {name} names {used}, which does not exist") from error
    if lacking := ", ".join(sorted(getattr(found, "__abstractmethods__", ()))):
        raise PluginError(f"{table} {name} names {used}, which does not define {lacking}")


def _line_of(error: BaseException, plugin: Plugin) -> str:
    """The line of the plug-in's file in which the error arose, for a message; empty if it is unknown."""
    if isinstance(error, SyntaxError) and error.filename == plugin.name:
        return f"line {error.lineno}: "
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == plugin.name]
    return f"line {lines[-1]}: " if lines else ""
