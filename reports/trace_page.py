"""A described trace as one HTML page that needs nothing else: the data of `describe --json` in, text out.

Same stylesheet, digits and figures as the report. Knows neither files nor how a trace is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from reports import figures, trace_words
from reports.page import Picture, picture, render


def render_trace_page(data: Mapping[str, Any]) -> str:
    """Return a described trace as the text of an HTML page: the same data give the same page.

    Args:
        data: what `planner.description.describe` returns; every text in it may be hostile.

    Returns:
        A page of its own that can be encoded as UTF-8 whatever the texts hold.
    """
    correlation = data["input_output_correlation"]
    return render(
        "trace.html",
        data=data,
        file=re.split(r"[/\\]", str(data["path"]))[-1] or data["path"],
        began=trace_words.began(data["epoch"]),
        windows=trace_words.WINDOWS,
        lengths=trace_words.LENGTHS,
        correlation="" if correlation is None else f"{round(correlation, 2) + 0.0:.2f}",
        pictures=[
            _rate_picture(data),
            *([_hour_picture(data)] if data["load_by_hour_of_week"] else []),
            _length_picture(data),
        ],
    )


def _rate_picture(data: Mapping[str, Any]) -> Picture:
    rates = data["rate_over_time"]
    return picture(
        "rate",
        "Rate over time",
        trace_words.rate_sentence(data),
        lambda width_in: figures.rate_over_time(
            rates["t_s"],
            rates["requests_per_s"],
            rates["tokens_per_s"],
            width_s=rates["width_s"],
            width_in=width_in,
        ),
    )


def _hour_picture(data: Mapping[str, Any]) -> Picture:
    return picture(
        "hours",
        "Load by hour of the week",
        trace_words.hour_sentence(data),
        lambda width_in: figures.load_by_hour_of_week(
            data["load_by_hour_of_week"], width_in=width_in
        ),
    )


def _length_picture(data: Mapping[str, Any]) -> Picture:
    return picture(
        "lengths",
        "Input and output tokens",
        trace_words.length_sentence(data),
        lambda width_in: figures.token_lengths(
            [
                figures.LengthPanel(
                    f"{what} tokens, share of requests",
                    data["histograms"][f"{what}_tokens"]["edges"],
                    data["histograms"][f"{what}_tokens"]["counts"],
                    [(p, data[f"{what}_tokens"][f"p{p}"]) for p in (50, 95, 99)],
                )
                for what in ("input", "output")
            ],
            width_in=width_in,
        ),
    )
