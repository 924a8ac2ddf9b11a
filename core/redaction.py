"""Addresses and texts without the secrets that an address may contain."""

from __future__ import annotations

import re

HIDDEN = "***"
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/*")
_PATH = re.compile(r"(?:sqlite:///|/|\.{0,2}/|~)")
"""Beginning of a path, in which ``@`` has no meaning."""
_HARMLESS = re.compile(r"\?(?:(?:endpoint=https?://[\w.\[\]:-]+|region=[\w-]+)(?:&|$))+$")
"""The options of an ``s3://`` address of this project."""
_OPTION = re.compile(r"((?:--(?:address|mlflow-uri|storage|data-dir)|RAY_ADDRESS)[ =]+)(\S+)")
_WORD = re.compile(r"\S+")
_ADDRESS = re.compile(r":/|[?#][^=]*=|(?::|%3[Aa]).*(?:@|%40)")
_SIGN = re.compile(r"(.*)(@|%40)(.*)", re.S)
_QUOTED = re.compile(r"""([('"\[<]*)(.*?)([;:,.)'"\]>]*)""", re.S)
"""A word between quotation marks and punctuation."""


def masked(address: str) -> str:
    """The address for messages: user information, query and fragment are replaced by ``***``, however it is written.

    Everything before the last ``@`` counts as user information, because a mistyped address has no other sure mark of
    it. The address of a file keeps its ``@``.
    """
    if _PATH.match(address):
        return _without_query(address)
    scheme = _SCHEME.match(address)
    start = scheme[0] if scheme else ""
    rest = address[len(start) :]
    before, sign, place = _after_last_sign(rest)
    if re.search(r"[?#]", before):  # what follows may be a host after a password, or the rest of a query
        return start + HIDDEN
    return start + (HIDDEN if sign else "") + sign + _without_query(place)


def without_secrets(text: str) -> str:
    """The text with every address in it masked: after an option that takes an address, and wherever a scheme is."""
    text = _OPTION.sub(lambda found: found[1] + _masked_word(found[2]), text)
    return _WORD.sub(lambda found: _masked_word(found[0]) if _ADDRESS.search(found[0]) else found[0], text)


def _after_last_sign(address: str) -> tuple[str, str, str]:
    """What is before the last ``@``, which may be written ``%40``, the sign as it is written, and what is after it."""
    found = _SIGN.match(address)
    return (found[1], found[2], found[3]) if found else ("", "", address)


def _without_query(address: str) -> str:
    place = re.split(r"[?#]", address, maxsplit=1)[0]
    query = address[len(place) :]
    return address if not query or _HARMLESS.match(query) else place + query[0] + HIDDEN


def _masked_word(word: str) -> str:
    parts = _QUOTED.fullmatch(word)
    assert parts
    return parts[1] + masked(parts[2]) + parts[3]
