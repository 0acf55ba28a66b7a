"""Reading ten million rows, each time in a process of its own: ours, and the least that any reader must do."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import duckdb

N_ROWS = 10_000_000
REPEATS = 5
COLUMN_BYTES = 8 + 4 + 4 + 4
"""A request in memory: arrival, input, cached and output tokens."""

_CHILD = """
import os, re, sys
from pathlib import Path
from time import perf_counter
{imports}
path = sys.argv[1]
def most_kib():
    # Not getrusage's: that begins with what the parent took.
    return int(re.search("VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1])
before = most_kib()
start, busy = perf_counter(), os.times()
{action}
end = os.times()
print(perf_counter() - start, end.user + end.system - busy.user - busy.system,
      (most_kib() - before) * 1024)
"""

OURS = ("from simulations.ingest import read\nimport duckdb, pyarrow", "kept = read(path)")
DUCKDB = (
    "import duckdb\nduckdb.execute('SET enable_progress_bar = false')",
    'duckdb.execute(\'SELECT max("TIMESTAMP"), sum("ContextTokens"), sum("GeneratedTokens") FROM read_csv(?, '
    'header = true, columns = {"TIMESTAMP": "TIMESTAMP_NS", "ContextTokens": "BIGINT", '
    '"GeneratedTokens": "BIGINT"})\', [path]).fetchall()',
)
PYARROW = ("import pyarrow.parquet", "kept = pyarrow.parquet.read_table(path)")

Row = tuple[str, str, str]


def reading() -> Iterator[Row]:
    """An Azure trace as CSV and as Parquet; the files are made here and removed."""
    with tempfile.TemporaryDirectory(prefix="ptplan-bench-") as folder:
        csv, parquet = (write_azure(Path(folder, f"azure.{kind}")) for kind in ("csv", "parquet"))
        size = f"{N_ROWS:,} rows of an Azure trace"
        yield from compared(f"{size}, CSV", csv, "bare DuckDB scan", DUCKDB)
        yield from compared(f"{size}, Parquet", parquet, "pyarrow reads the columns", PYARROW)


def compared(what: str, path: Path, other_name: str, other: tuple[str, str]) -> Iterator[Row]:
    """Yield what reading takes, what the bare reader takes, and both ratios."""
    runs = [(measured(path, *OURS), measured(path, *other)) for _ in range(REPEATS)]
    ours, theirs = ([run[side] for run in runs] for side in (0, 1))
    for name, of in ((f"{what}: read", ours), (f"{what}: {other_name}", theirs)):
        for unit, at in (("wall s", 0), ("CPU s", 1)):
            yield row(f"{name}, {unit}", [run[at] for run in of], "{:.2f}")
    for unit, at in (("wall", 0), ("CPU", 1)):
        yield (
            f"{what}: times the {other_name} takes, {unit}",
            f"{min(run[at] for run in ours) / min(run[at] for run in theirs):.2f}",
            f"{statistics.median(one[at] / two[at] for one, two in runs):.2f}",
        )
    sizes = [run[2] / (COLUMN_BYTES * N_ROWS) for run in ours]
    yield row(f"{what}: peak memory of reading over that of the columns", sizes, "{:.2f}")


def row(name: str, values: list[float], form: str) -> Row:
    """Return a row of best and median."""
    return (name, form.format(min(values)), form.format(statistics.median(values)))


def measured(path: Path, imports: str, action: str) -> tuple[float, float, float]:
    """Return seconds, seconds of CPU, and bytes taken at the most, of an action in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(imports=imports, action=action), path],
        check=True,
        capture_output=True,
        text=True,
    )
    wall_s, cpu_s, peak_bytes = map(float, done.stdout.split())
    return wall_s, cpu_s, peak_bytes


def write_azure(path: Path, n_rows: int = N_ROWS) -> Path:
    """Write an Azure trace of many rows: a request every 130 us or so, in order."""
    ns = "1700158546680590000 + i * 130000 + (hash(i) % 1000)::BIGINT * 100"
    text = f"left(strftime(make_timestamp_ns({ns}), '%Y-%m-%d %H:%M:%S.%n'), -2)"
    is_csv = path.suffix == ".csv"
    duckdb.execute("SET enable_progress_bar = false")
    duckdb.execute(
        f'COPY (SELECT {text if is_csv else f"make_timestamp_ns({ns})"} AS "TIMESTAMP", '
        '(1 + hash(i * 3) % 4000)::INTEGER AS "ContextTokens", '
        f'(hash(i * 7) % 800)::INTEGER AS "GeneratedTokens" FROM range({n_rows}) AS rows(i)) '
        f"TO '{path}' ({'FORMAT csv, HEADER true' if is_csv else 'FORMAT parquet, COMPRESSION zstd'})"
    )
    return path
