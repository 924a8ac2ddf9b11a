"""The options that vary among cells."""

from __future__ import annotations

from core.records import varying_options


def test_options_with_more_than_one_value_vary() -> None:
    cells = [{"lr": 0.1, "beta": 1, "nesterov": True}, {"lr": 0.1, "beta": 6, "nesterov": 1}]
    assert varying_options(cells) == ["beta", "nesterov"]
    assert varying_options(cells[:1]) == varying_options([]) == []


def test_a_cell_without_an_option_says_nothing_about_it() -> None:
    cells = [{"method": "trades", "beta": 1}, {"method": "pgd-at"}]
    assert varying_options(cells) == ["method"]
    assert varying_options([*cells, {"method": "trades", "beta": 6}]) == ["method", "beta"]
