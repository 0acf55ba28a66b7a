"""Our own layout, which `write_trace` writes: seconds with as many decimals as ticks need.

A comment line before the header (in Parquet: a key beside the rows) holds the `Extent`.
"""

from simulations.ingest.layout import Layout

PTPLAN = Layout("ptplan", "arrival_s", "input_tokens", "output_tokens", "cached_tokens", unit="s")
