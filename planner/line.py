"""Text from outside on one printable line: file names and cells may hold anything, a terminal must not."""

from __future__ import annotations


def one_line(text: object) -> str:
    r"""Return text with white space joined and everything unprintable as its escape.

    >>> one_line("a\n  file\x1b[2J")
    'a file\\x1b[2J'
    """
    joined = " ".join(str(text).split())
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in joined)
