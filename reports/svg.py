"""A drawn figure made part of a page: an SVG document in, an `<svg>` element out.

Ids get a prefix, so that several figures fit one page; colours become the page's variables and
fonts the page's; namespaces, sizes and metadata go, so nothing in it points anywhere. Knows
nothing of what is drawn.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from reports.colours import CSS_VARIABLES

_DRAWN_FONT = "'DejaVu Sans'"


def inline_svg(document: str, *, prefix: str, label: str) -> str:
    """Return an SVG document as an element for the body of an HTML page.

    Args:
        document: as `figures.svg` returns it.
        prefix: letters, unique on the page.
        label: what the figure shows, for whoever cannot see it.

    Raises:
        xml.etree.ElementTree.ParseError: the document is not XML.

    >>> inline_svg('<svg xmlns="a"><path id="p" style="fill: #0072b2"/><g id="q" mask="url(#p)"/></svg>', prefix="f", label="L")
    '<svg role="img" aria-label="L"><path id="f-p" style="fill: var(--blue,#0072b2)" /><g mask="url(#f-p)" /></svg>'
    """
    root = ElementTree.fromstring(document)
    for parent in root.iter():
        for child in [child for child in parent if child.tag.endswith("metadata")]:
            parent.remove(child)
    referenced = set(re.findall(r"#([\w-]+)[\")]", document))
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        element.attrib = {
            name.rpartition("}")[2]: _attribute(name.rpartition("}")[2], value, prefix=prefix)
            for name, value in element.attrib.items()
            if name != "id" or value in referenced
        }
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.attrib.update({"role": "img", "aria-label": label})
    return ElementTree.tostring(root, encoding="unicode")


def _attribute(name: str, value: str, *, prefix: str) -> str:
    if name == "id":
        return f"{prefix}-{value}"
    if name == "href":
        return f"#{prefix}-{value.removeprefix('#')}"
    if name in ("d", "x", "y", "transform"):
        # A hundredth of a point is invisible, and halves the page.
        return re.sub(r"-?\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", value)
    value = value.replace("url(#", f"url(#{prefix}-").replace(_DRAWN_FONT, "inherit")
    for colour, variable in CSS_VARIABLES.items():
        value = value.replace(colour, variable)
    return value
