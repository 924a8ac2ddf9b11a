"""Strict reading of YAML files, so that a typing error is reported and does not start another experiment."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

MAX_BYTES = 1_000_000


class _StrictLoader(yaml.SafeLoader):
    """Loader that rejects repeated keys, of which YAML keeps the last, and aliases, which can expand without limit."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            where = self.peek_event().start_mark
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=where)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        for (key, _), value in zip(node.value, keys, strict=False):
            if keys.count(value) > 1:
                raise yaml.MarkedYAMLError(problem=f"{value!r} is there twice", problem_mark=key.start_mark)
        return super().construct_mapping(node, deep)


def _whole_number(loader: _StrictLoader, node: yaml.ScalarNode) -> int:
    text = loader.construct_scalar(node)
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _refuse_underscores(loader: _StrictLoader, node: yaml.ScalarNode) -> Any:
    raise yaml.MarkedYAMLError(
        problem=f"{node.value} is a text in YAML 1.2; write a number without underscores, or a text in quotes",
        problem_mark=node.start_mark,
    )


# PyYAML reads words as YAML 1.1 defines them: 010 is 8 there, 1:30 is 90, 1e-3 is a text, and "no" is False. YAML 1.2
# (core schema, section 10.3.2) has these definitions instead. Dates stay texts.
_StrictLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), _first)
_StrictLoader.add_constructor("tag:yaml.org,2002:int", _whole_number)

# YAML 1.2 reads 1_000 as a text, which Python would read as a number where one is expected.
_UNDERSCORES = "tag:yaml.org,2002:underscores"
_StrictLoader.add_implicit_resolver(_UNDERSCORES, re.compile(r"[-+]?[0-9]+_[0-9_]*\Z"), list("-+0123456789"))
_StrictLoader.add_constructor(_UNDERSCORES, _refuse_underscores)


def read_yaml(path: Path) -> Any:
    """Content of a YAML file of at most 1 MB.

    Raises:
        ValueError: the file can't be read, or is not YAML in UTF-8; the message is one line.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{path} can't be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES / 1e6:g} MB")
    try:
        return yaml.load(content.decode(), _StrictLoader)
    except RecursionError as error:
        raise ValueError(f"{path} is nested too deeply") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid number or date, or bytes that are not text
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())[:300]}") from error
