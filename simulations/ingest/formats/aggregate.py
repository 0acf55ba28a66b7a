"""Sums by the minute (or second, or hour): the beginning of each, its requests, their tokens.

Nobody's format, but what `date_trunc`, `count` and `sum` make of a log of requests.
"""

from simulations.ingest.layout import Layout

AGGREGATE = Layout(
    "aggregate",
    "bucket_start",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    requests="requests",
    marks=("requests",),
)
