"""Plug-ins in a sweep's store: their files, from which another machine or a later job loads them."""

from __future__ import annotations

from collections.abc import Iterable

from core.config import Sweep
from core.config.plugins import Plugin, PluginError, file_plugin, use_plugin
from core.ledger.description import SweepDescription
from core.storage import Store

FOLDER = "plugins"


def plugins_in(sweep: Sweep) -> dict[str, Plugin]:
    """The plug-ins that the sweep's cells use, by name."""
    return {plugin.name: plugin for entry in sweep.entries for plugin in entry.cell.plugins}


def write_plugins(store: Store, plugins: Iterable[Plugin]) -> None:
    """Write the files of plug-ins into the sweep's store. Installed packages have none."""
    for plugin in plugins:
        if plugin.source:
            store.child(FOLDER).write(plugin.name, plugin.source.encode())


def use_stored_plugins(store: Store, description: SweepDescription) -> None:
    """Load the plug-ins of a stored sweep, which its cells need.

    Raises:
        PluginError: a plug-in's file is missing or was changed, or another version of it is loaded already.
    """
    for name, version in description.plugins.items():
        where = f"{store.root}/{FOLDER}/{name}"
        plugin = Plugin(name, version)
        if name.endswith(".py"):
            content = store.child(FOLDER).read(name)
            if content is None:
                raise PluginError(f"{where} is missing: sweep {description.name} was trained with this plug-in")
            plugin = file_plugin(name, content)
        if plugin.version != version:
            raise PluginError(
                f"{where} was changed: its version is {plugin.version}, and sweep {description.name} was trained with "
                f"version {version}"
            )
        use_plugin(plugin)


def changed_plugins(store: Store, description: SweepDescription, plugins: Iterable[Plugin]) -> list[str]:
    """A line for each plug-in that the stored sweep uses in another version."""
    return [
        f"plug-in {plugin.name}: version {description.plugins[plugin.name]} stored "
        f"(its file: {store.root}/{FOLDER}/{plugin.name}), {plugin.version} given"
        for plugin in plugins
        if description.plugins.get(plugin.name, plugin.version) != plugin.version
    ]
