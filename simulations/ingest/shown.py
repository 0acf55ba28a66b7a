"""Names and cells as messages show them: they are anybody's text, and may hold anything."""

from __future__ import annotations


def shown(text: object) -> str:
    """Return a name or a cell as one short line, whatever it holds.

    >>> shown("a\\nb")
    'a\\\\nb'
    """
    line = str(text)
    line = line if line.isprintable() else repr(line)[1:-1]
    return line if len(line) <= 200 else f"{line[:98]}...{line[-98:]}"
