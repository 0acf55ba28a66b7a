"""Which importer reads a file: the first that knows its content."""

from __future__ import annotations

from pathlib import Path

from simulations.errors import MeasurementError
from simulations.fit.importers import aiperf, engine_log, guidellm, tables, vllm_bench
from simulations.fit.importers.document import Document, at, read_document
from simulations.fit.measurement import Measurement
from simulations.ingest.shown import shown
from simulations.trace import Shape

_IMPORTERS = (guidellm, vllm_bench, aiperf, engine_log)

KNOWN = (
    "guidellm's benchmarks.json (version 2), vllm bench serve --save-result, AIPerf's profile_export.jsonl or its summary "
    "JSON, an engine's log of requests (input_toks, queued_ts ...), a table with a row for each request or each level, "
    "an inference table, locust's _stats.csv or _stats_history.csv (with --request-shape)"
)


def load_measurements(
    path: str | Path,
    *,
    where: dict[str, str] | None = None,
    shape: Shape | None = None,
    users: int | None = None,
) -> list[Measurement]:
    """Return what was measured, of a file that is told by its content.

    Args:
        path: JSON, JSON lines, CSV or Parquet, also gzip or zstd.
        where: column and value that rows of a table must have.
        shape, users: tokens of the requests and how many waited for them, for a file that does not say (locust's).

    Raises:
        MeasurementError: it cannot be read, is of a version that is not known, or says too little.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "sweep.csv")
    ...     _ = file.write_text("users,input_tokens,output_tokens,tpot_mean_ms\\n4,100,20,9.5\\n")
    ...     load_measurements(file)[0].figures
    {'tpot_mean': 0.0095}
    """
    document = read_document(Path(path))
    for importer in _IMPORTERS:
        if document.objects and importer.matches(document):
            if where:
                raise document.error("is no table, so --where does not apply to it")
            found: list[Measurement] = importer.read(document)
            return found
    if tables.matches(document):
        return tables.read(document, where, shape=shape, users=users)
    raise MeasurementError(f"{shown(document.path)} {_what_it_is(document)}; read are {KNOWN}")


def _what_it_is(document: Document) -> str:
    """Return what a file that cannot be used seems to be."""
    first = document.first
    if "load_summary" in first and "successes" in first:
        return "is a report of inference-perf, whose figures are not read"
    if any(key.startswith("results_ttft_s") for key in first):
        return "is a summary of llmperf, whose figures are not read"
    if at(first, "metrics", "http_req_duration") is not None:
        return "is a summary of k6: latencies without tokens, from which a server cannot be told"
    if document.columns is not None and "metric" in document.columns:
        return "is AIPerf's CSV; give profile_export.jsonl or the JSON beside it"
    if document.columns is not None:
        return f"is a table with the columns {shown(', '.join(document.columns))[:200]}, which is no known one"
    return f"is JSON with the keys {shown(', '.join(first))[:200]}, which is no known one"
