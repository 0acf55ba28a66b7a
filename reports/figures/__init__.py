"""Figures: arrays in, a matplotlib Figure out, never saved to a file.

One figure a module; the only importers of matplotlib. Backgrounds are transparent and colours read on
white and on black, so one figure serves a light page and a dark one. Figures come wide and narrow, since
text must not shrink on a phone. Knows nothing of reports, pages or files.
"""

from reports.figures.attainment import cost_against_attainment
from reports.figures.latency import LatencyPanel, latency_by_range
from reports.figures.lengths import LengthPanel, token_lengths
from reports.figures.load import load_against_capacity
from reports.figures.look import NARROW_IN, WIDE_IN, Figure, png, svg
from reports.figures.ranges import map_of_ranges
from reports.figures.rate import rate_over_time
from reports.figures.sizes import cost_by_size
from reports.figures.spread import SpreadPanel, latency_spread
from reports.figures.turns import TurnRow, flip_distances
from reports.figures.volume import cost_by_volume
from reports.figures.week import load_by_hour_of_week

__all__ = [
    "NARROW_IN",
    "WIDE_IN",
    "Figure",
    "LatencyPanel",
    "LengthPanel",
    "SpreadPanel",
    "TurnRow",
    "cost_against_attainment",
    "cost_by_size",
    "cost_by_volume",
    "flip_distances",
    "latency_by_range",
    "latency_spread",
    "load_against_capacity",
    "load_by_hour_of_week",
    "map_of_ranges",
    "png",
    "rate_over_time",
    "svg",
    "token_lengths",
]
