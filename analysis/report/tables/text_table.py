"""A table of texts, which the page, a terminal and Markdown can show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from analysis.report.formatting import NOTHING


@dataclass(frozen=True)
class TextTable:
    """Header and rows as plain texts. Whatever shows the table escapes them."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: int = 1
    """Number of leading columns with words; the other columns have numbers and are flush right."""
    caption: str = ""

    def without_empty_columns(self) -> TextTable:
        """The table without the columns of numbers in which no row has one."""
        kept = [
            index
            for index in range(len(self.header))
            if index < self.words or any(row[index] != NOTHING for row in self.rows)
        ]
        return replace(
            self, header=[self.header[i] for i in kept], rows=[[row[index] for index in kept] for row in self.rows]
        )


def markdown_table(table: TextTable) -> str:
    """The table in GitHub's Markdown, with its caption below."""
    lines = [table.header, ["---" if i < table.words else "---:" for i in range(len(table.header))], *table.rows]
    text = "\n".join("| " + " | ".join(map(escape_markdown, line)) + " |" for line in lines) + "\n"
    return f"{text}\n{table.caption}\n" if table.caption else text


def escape_markdown(text: str) -> str:
    """`text` as one entry of a Markdown table."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


class TerminalTable:
    """A table that fits its terminal: standard deviations move to lines of their own and words wrap if they must."""

    def __init__(self, table: TextTable) -> None:
        self.table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Table]:
        forms = [_table(self.table, str, True), _table(self.table, _folded, True), _table(self.table, _folded, False)]
        unlimited = options.update_width(10_000)
        fitting = (form for form in forms if Measurement.get(console, unlimited, form).maximum <= options.max_width)
        yield next(fitting, forms[-1])


def _folded(text: str) -> str:
    return text.replace(" ± ", "\n± ")


def _table(table: TextTable, fold: Callable[[str], str], whole_words: bool) -> Table:
    found = Table(
        box=SIMPLE_HEAD, caption=Text(table.caption), caption_justify="left", pad_edge=False, padding=(0, 1, 0, 0)
    )
    for index, name in enumerate(table.header):
        longest = max(map(len, name.split()), default=0) if whole_words else None
        justify: JustifyMethod = "left" if index < table.words else "right"
        found.add_column(Text(name), justify=justify, overflow="fold", min_width=longest)
    for row in table.rows:
        found.add_row(*(Text(fold(text)) for text in row))
    return found
