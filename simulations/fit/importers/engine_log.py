"""Requests as the engine itself saw them, one JSON object a line, as LLMServingSim's bench writes them.

Times are one monotonic clock's; the request begins when it was queued. A `meta.json` beside it (or NAME.meta.json
beside NAME.requests.jsonl) says with which limits the engine ran.
Source: casys-kaist/LLMServingSim, bench/examples, commit 5daddb21a545, read 2026-11-22.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from simulations.errors import MeasurementError
from simulations.fit.importers.document import Document, at, number
from simulations.fit.importers.requests import run_of
from simulations.fit.measurement import Limits, Measurement

_NEEDED = ("input_toks", "output_toks", "queued_ts", "first_token_ts", "last_token_ts")


def matches(document: Document) -> bool:
    """Whether a file holds such lines."""
    return (
        document.columns is None
        and "input_toks" in document.first
        and "queued_ts" in document.first
    )


def read(document: Document) -> list[Measurement]:
    """Return the run.

    Raises:
        MeasurementError: a line is of another kind, or nothing was served.
    """
    for at_line, row in enumerate(document.objects, start=1):
        missing = [name for name in _NEEDED if name not in row]
        if missing:
            raise document.error(
                f"line {at_line} has no {missing[0]}; the file is a mixture, or cut"
            )
    columns: dict[str, Any] = {
        name: np.array([number(row[name]) for row in document.objects]) for name in _NEEDED
    }
    queued = columns["queued_ts"]
    limits, version = _limits(document.path)
    return [
        run_of(
            document,
            document.origin("vllm", version),
            arrival_s=queued - np.nanmin(queued) if not np.isnan(queued).all() else queued,
            input_tokens=columns["input_toks"],
            output_tokens=columns["output_toks"],
            ttft_s=columns["first_token_ts"] - queued,
            e2e_s=columns["last_token_ts"] - queued,
            limits=limits,
        )
    ]


def _limits(path: Path) -> tuple[Limits, str]:
    """Return what the file beside says of the engine; nothing where there is none."""
    stem = path.name.removesuffix(".gz").removesuffix(".jsonl").removesuffix(".requests")
    for beside in (path.with_name(f"{stem}.meta.json"), path.with_name("meta.json")):
        try:
            meta = json.loads(beside.read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            raise MeasurementError(f"{beside}: lies beside the requests and is no JSON") from None

        def count(*names: str, meta: Any = meta) -> int | None:
            for name in names:
                found = number(at(meta, "engine_kwargs", name))
                if found >= 1:
                    return int(found)
            return None

        blocks, size = count("num_gpu_blocks_override", "num_gpu_blocks"), count("block_size")
        return (
            Limits(
                count("max_num_seqs"),
                count("max_num_batched_tokens"),
                blocks * (size or 16) if blocks else count("kv_tokens"),
            ),
            str(at(meta, "vllm_version") or ""),
        )
    return Limits(), ""
