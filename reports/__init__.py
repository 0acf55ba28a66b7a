"""EXPLAIN: an answer in, a page for people out. No network, no clock."""

from typing import TYPE_CHECKING, Any

from reports.report import (
    Assumption,
    BaselineRow,
    Cost,
    Decision,
    Flip,
    Inputs,
    Interval,
    Limit,
    Neighbour,
    Pairing,
    Percentile,
    Promise,
    RangeRow,
    Report,
    Request,
    Timeline,
    Turn,
    Unloaded,
    VolumeRow,
)

if TYPE_CHECKING:
    from reports.html import render_html

__all__ = [
    "Assumption",
    "BaselineRow",
    "Cost",
    "Decision",
    "Flip",
    "Inputs",
    "Interval",
    "Limit",
    "Neighbour",
    "Pairing",
    "Percentile",
    "Promise",
    "RangeRow",
    "Report",
    "Request",
    "Timeline",
    "Turn",
    "Unloaded",
    "VolumeRow",
    "render_html",
]


def __getattr__(name: str) -> Any:
    """Re-export what draws only when it is asked for: matplotlib takes long to import."""
    if name == "render_html":
        from reports.html import render_html

        return render_html
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
