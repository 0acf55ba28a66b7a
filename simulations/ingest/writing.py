"""Writing a trace in our own layout, so that reading it gives the same requests back.

Seconds get as many decimals as the ticks need, no more; the line with the `Extent` goes before
the header. DuckDB formats in a folder of its own; the file appears whole or not at all.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import duckdb
import numpy as np

from simulations.errors import TraceError
from simulations.ingest.database import EXTENT_KEY, literal, private_database
from simulations.ingest.extent import Extent
from simulations.ingest.shown import shown
from simulations.ingest.whole import whole
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace

SUFFIXES = (".csv", ".csv.gz", ".parquet")


def write_trace(
    trace: Trace, path: str | Path, *, container: Literal["csv", "parquet"] | None = None
) -> None:
    """Write a trace as CSV, gzipped CSV or Parquet, as the file's suffix says.

    The same trace gives the same bytes: no clock, no name goes into them.

    Args:
        path: ends in .csv, .csv.gz or .parquet; an existing file is replaced.
        container: instead of what the suffix says; then any name will do.

    Raises:
        TraceError: another suffix, or the folder cannot be written to.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "trace.csv")
    ...     write_trace(Trace.build([0.0, 1.5], [10, 20], [1, 2]), file)
    ...     print(file.read_text())
    # ptplan trace: span_s=1.5
    arrival_s,input_tokens,output_tokens
    0.0,10,1
    1.5,20,2
    <BLANKLINE>
    """
    path = Path(path)
    if container is None and not path.name.endswith(SUFFIXES):
        raise TraceError(
            f"{shown(path)}: a trace is written to a file that ends in .csv, .csv.gz or .parquet"
        )
    extent = str(Extent(trace.span_ticks, trace.epoch_ns))
    requests = {
        "arrival_ticks": trace.arrival_ticks,
        "input_tokens": trace.input_tokens,
        "output_tokens": trace.output_tokens,
    }
    if trace.cached_tokens.any():
        requests["cached_tokens"] = trace.cached_tokens
    names = ", ".join(list(requests)[1:])
    arrival_s = exact_seconds(trace)
    is_parquet = (container or path.suffix) in ("parquet", ".parquet")
    how = f"FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{EXTENT_KEY}: '{extent}'}}"
    if not is_parquet:
        how = "FORMAT csv, HEADER true"
    with private_database([None]) as (database, (rows,)):
        database.register("requests", requests)
        try:
            database.execute(
                f"COPY (SELECT {arrival_s} AS arrival_s, {names} FROM requests) "
                f"TO {literal(rows)} ({how})"
            )
        except duckdb.Error as error:
            raise TraceError(f"{shown(path)} cannot be written: {shown(error)}") from None
        with rows.open("rb") as written, whole(path) as file:
            if not is_parquet:
                file.write(f"# {extent}\n".encode())
            shutil.copyfileobj(written, file, 1 << 20)


def exact_seconds(trace: Trace) -> str:
    """Return SQL that turns `arrival_ticks` into seconds with as many decimals as all need."""
    grain = int(np.gcd.reduce(trace.arrival_ticks)) or TICKS_PER_S
    decimals = next(places for places in range(1, 12) if grain % 10 ** (11 - places) == 0)
    # Exact: a decimal of 8 + 11 places holds every tick below 1.46 years.
    return (
        "CAST(CAST(arrival_ticks AS DECIMAL(19, 0)) * CAST(0.00000000001 AS DECIMAL(11, 11)) "
        f"AS DECIMAL({8 + decimals}, {decimals}))"
    )
