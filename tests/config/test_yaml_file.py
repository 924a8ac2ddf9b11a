"""Preset files are YAML 1.2."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from core.config.yaml_file import read_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("-7", -7),
        ("1:30", "1:30"),
        ("1e-3", 0.001),
        (".5", 0.5),
        ("1.", 1.0),
        ("8/255", "8/255"),
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("2026-01-31", "2026-01-31"),
        ("'1_000'", "1_000"),
        ("1_000-images", "1_000-images"),
        ("-.inf", -math.inf),
        ("'010'", "010"),
    ],
)
def test_words_mean_what_yaml_1_2_says(tmp_path: Path, text: str, value: Any) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"value: {text}\n")
    assert read_yaml(file) == {"value": value}
    assert type(read_yaml(file)["value"]) is type(value)


def test_nan_is_a_number(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text("value: .nan\n")
    assert math.isnan(read_yaml(file)["value"])


@pytest.mark.parametrize("text", ["1_000", "[2, +1_0]"])
def test_a_number_with_underscores_is_refused_because_it_is_a_text_there(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(f"seeds: {text}\n")
    with pytest.raises(ValueError, match=r"is not valid YAML: .?1_0+ is a text in YAML 1.2"):
        read_yaml(file)
