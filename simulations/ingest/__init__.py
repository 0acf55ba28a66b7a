"""Files of traffic in, one `Trace` out, and back; the only package that imports DuckDB."""

from simulations.ingest.bad_row import BadRow
from simulations.ingest.exporting import EXPORTS, Exported, export_trace
from simulations.ingest.layout import Layout, parse_columns
from simulations.ingest.reading import Reading, load_trace, read
from simulations.ingest.writing import write_trace

__all__ = [
    "EXPORTS",
    "BadRow",
    "Exported",
    "Layout",
    "Reading",
    "export_trace",
    "load_trace",
    "parse_columns",
    "read",
    "write_trace",
]
