"""What every page is made with: the templates, the escaping, a figure drawn twice.

The only importer of jinja2. Every text is escaped and cleaned of what HTML forbids; a page needs nothing
else: no network, no script, no other file. Knows nothing of what a page is about.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from reports import cells, figures, markdown_text, numbers, sentences
from reports.svg import inline_svg

_CONTROLS = dict.fromkeys(
    {*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A)} - {9, 10},
    "\N{REPLACEMENT CHARACTER}",
)
"""Characters that HTML forbids, and those that turn the direction of what follows: a name must not read as another
one. As `str.translate` wants them."""


class Picture(NamedTuple):
    """A figure on the page: drawn twice, shown once."""

    name: str
    title: str
    sentence: str
    wide: Markup
    narrow: Markup


def render(template: str, *, package: str = "reports", **content: Any) -> str:
    """Return a template filled, as text that can be encoded as UTF-8 whatever the content holds.

    Args:
        template: its name.
        package: where it is looked for first; those of this package can be included from anywhere.
        content: what it is filled with.
    """
    page = _environment(package).get_template(template).render(**content)
    return page.translate(_CONTROLS).encode("utf-8", "replace").decode("utf-8")


def render_markdown_template(template: str, **content: Any) -> str:
    """Return a template of Markdown filled; what it prints is escaped unless it is `Markdown` already."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"),
        autoescape=False,  # `finalize` escapes for Markdown, HTML included
        finalize=markdown_text.escape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(cells=cells, numbers=numbers, words=sentences, md=markdown_text)
    text = environment.get_template(template).render(**content)
    lines = re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"
    return lines.encode("utf-8", "replace").decode("utf-8")


@cache
def _environment(package: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(name) for name in dict.fromkeys((package, "reports"))]
        ),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(cells=cells, numbers=numbers, words=sentences)
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> str:
    """Return running text in which no line breaks between a number and its unit."""
    return re.sub(
        r"(?<=\d) (?=(%|ms|s|min|h|USD|tokens/s)\b|%)|(?<=USD) (?=\d)", "\N{NO-BREAK SPACE}", text
    )


def picture(
    name: str, title: str, sentence: str, draw: Callable[[float], figures.Figure]
) -> Picture:
    """Return a figure drawn wide and narrow, with the sentence that says what to see."""
    wide, narrow = (
        Markup(
            inline_svg(
                figures.svg(draw(width_in)), prefix=f"{name}-{size}", label=f"{title}. {sentence}"
            )
        )
        for size, width_in in (("wide", figures.WIDE_IN), ("narrow", figures.NARROW_IN))
    )
    return Picture(name, title, sentence, wide, narrow)
