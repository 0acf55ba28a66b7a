r"""Text from outside in Markdown: it stays text, whatever it holds.

HTML, links, emphasis, tables and mentions are taken apart; what is shown is what was given, on one line.
Knows nothing of reports.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans(
    {c: f"\\{c}" for c in "\\`*_[]|~#!$"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;", "@": "&#64;"}
)
_UNSEEN = ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp")
"""Unicode categories without a look of their own, some of which turn the direction of a line."""


class Markdown(str):
    """Markdown made here, which needs no escaping any more."""

    __slots__ = ()


def escape(text: object) -> Markdown:
    r"""Return text as Markdown that shows it, on one line.

    >>> escape("<b>*x*</b> | http://a.b"), escape("1. one"), escape("- 1"), escape("1.5")
    ('&lt;b&gt;\\*x\\*&lt;/b&gt; \\| http&#58;//a.b', '1\\. one', '\\- 1', '1.5')
    """
    if isinstance(text, Markdown):
        return text
    line = one_line(text).translate(_SPECIAL)
    # Neither addresses nor what looks like one become links: "www." and the colon before "//" are spelled out.
    line = re.sub(r"(?i)(www)\.|:(?=//)", _unlinked, line)
    # At the head of a line these would begin a list, a heading or a rule.
    return Markdown(re.sub(r"^(\d*)([-+=.)])(?=[-+=\s]|$)", r"\1\\\2", line))


def _unlinked(found: re.Match[str]) -> str:
    return f"{found[1]}&#46;" if found[1] else "&#58;"


def one_line(text: object) -> str:
    r"""Return text with white space joined and without what cannot be seen.

    >>> one_line("a\n b\u202e\x00")
    'a b\ufffd\ufffd'
    """
    joined = " ".join(str(text).split())
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNSEEN else c for c in joined
    )


def code(text: object) -> Markdown:
    """Return text as code within a line, also within a table.

    >>> code("a`b|c")
    '``a`b\\\\|c``'
    """
    line = one_line(text).replace("|", "\\|")
    ticks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    space = " " if line[:1] == "`" or line[-1:] == "`" or not line else ""
    return Markdown(f"{ticks}{space}{line}{space}{ticks}")


def fence(text: str, language: str = "") -> Markdown:
    """Return text as a block of code, whose fence is longer than any within.

    >>> fence("a", "sh")
    '```sh\\na\\n```'
    """
    lines = [one_line_kept(line) for line in text.split("\n")]
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return Markdown("\n".join([f"{ticks}{language}", *lines, ticks]))


def one_line_kept(text: str) -> str:
    """Return a line with its spaces as they are, without what cannot be seen."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in _UNSEEN else c for c in text
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: str = "") -> Markdown:
    """Return a table; cells are escaped unless they are Markdown.

    Args:
        header: names of the columns [n].
        rows: cells [m][n].
        right: columns that are numbers, as a string of n characters, `>` where they are.

    >>> print(table(["a", "b"], [["x|y", 1]], right=" >"))
    | a | b |
    |---|--:|
    | x\\|y | 1 |
    """
    rule = ["--:" if mark == ">" else "---" for mark in right.ljust(len(header))]
    lines = ["| " + " | ".join(map(escape, header)) + " |", "|" + "|".join(rule) + "|"]
    lines += ["| " + " | ".join(map(escape, row)) + " |" for row in rows]
    return Markdown("\n".join(lines))
