"""How every job says what is wrong."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape


def complain(error: Exception) -> None:
    """One message on stderr, no traceback: the reader can mend the cause, not the code."""
    text = str(error) or type(error).__name__
    Console(stderr=True).print(f"[red]error:[/red] {escape(text)}", highlight=False, soft_wrap=True)
