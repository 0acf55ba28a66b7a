"""Where the commands print, and how text becomes lines. Lines are laid out here, so that a pipe and a screen get the same ones."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from planner.line import one_line

PIPED_WIDTH = 118
NARROWEST = 60
GAP = "  "
LABEL_WIDTH = 10

Line = tuple[str, str]
"""Text and its style."""


class _Console(Console):
    """A console whose reader may leave: the rest goes nowhere, and the command ends as it would have."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        _drop_stdout()


def console(*, stderr: bool = False) -> Console:
    """Return where to print; a pipe gets plain text of a fixed width."""
    stream = sys.stderr if stderr else sys.stdout
    return _Console(file=stream, highlight=False, width=None if stream.isatty() else PIPED_WIDTH)


@contextmanager
def progress(*, quiet: bool) -> Iterator[Any]:
    """Yield something to call with what is being done; it shows on stderr, and only on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    with console(stderr=True).status("starting") as status:
        yield lambda text: status.update(escape(one_line(text)))


def show_lines(lines: Sequence[str], *, mark: str = "") -> None:
    """Print sentences, each from the start of a line."""
    out = console()
    before = f"{mark} " if mark else ""
    width = width_of(out)
    print_lines(
        out,
        [
            part
            for line in lines
            for part in wrapped_lines(before + line, width, hanging=len(before))
        ],
    )


def show_text(text: str) -> None:
    """Print text as it is, to be read by a program."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()


def _drop_stdout() -> None:
    """Send what is still to be printed nowhere, also what Python flushes when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def width_of(out: Console) -> int:
    """Return how many characters a line may have."""
    return max(NARROWEST, out.width)


def print_lines(out: Console, lines: Sequence[Line]) -> None:
    """Print styled lines as they are."""
    text = Text("\n").join(Text(line.rstrip(), style=style) for line, style in lines)
    out.print(text, soft_wrap=True, end="" if lines and lines[-1] == ("", "") else "\n")


def wrapped_lines(text: str, width: int, *, hanging: int = 0, style: str = "") -> list[Line]:
    """Return a text as lines of a width."""
    lines = textwrap.wrap(
        one_line(text),
        width,
        subsequent_indent=" " * hanging,
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [(line, style) for line in lines]


def labelled_lines(label: str, text: str, width: int) -> list[Line]:
    """Return a fact below the headline, its further lines under its first word."""
    indent = len(GAP) + LABEL_WIDTH
    first = f"{GAP}{label:<{LABEL_WIDTH}}"
    wrapped = wrapped_lines(text, width - indent)
    return [
        ((first if i == 0 else " " * indent) + line, style)
        for i, (line, style) in enumerate(wrapped)
    ]


def table_lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    styles: Sequence[str],
    width: int,
    *,
    left: Sequence[int],
) -> list[Line]:
    """Return a table as lines: columns as wide as they must be, the last one wrapped if it is text.

    Args:
        header: names, [n].
        rows: cells, [m][n].
        styles: of the rows, [m].
        left: the columns that are not numbers; those are set to the right.
    """
    last = len(header) - 1
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    before = sum(widths[:-1]) + len(GAP) * last
    room = max(width - before, 24)
    lines: list[Line] = []
    for cells, style in zip([header, *rows], ["", *styles], strict=True):
        text = GAP.join(
            cell.ljust(wide) if i in left else cell.rjust(wide)
            for i, (cell, wide) in enumerate(zip(cells[:-1], widths[:-1], strict=True))
        )
        end = cells[last] if last in left else cells[last].rjust(widths[last])
        wrapped = textwrap.wrap(end, room) if last in left else [end]
        lines.append((f"{text}{GAP}{wrapped[0] if wrapped else ''}".rstrip(), style))
        lines += [(" " * (before + 2) + more, style) for more in wrapped[1:]]
    return lines
