"""Columns of requests into a run: what is unusable is left out and counted, never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from simulations.errors import MeasurementError
from simulations.fit.importers.document import Document, whole
from simulations.fit.measurement import FloatArray, MeasuredRun, Origin
from simulations.trace import MAX_REQUEST_TOKENS

FAILED_WORTH_SAYING = 0.01
FAILED_TOO_MANY = 0.5


def run_of(
    document: Document,
    origin: Origin,
    *,
    arrival_s: FloatArray,
    input_tokens: FloatArray,
    output_tokens: FloatArray,
    ttft_s: FloatArray,
    e2e_s: FloatArray,
    cached_tokens: FloatArray | None = None,
    failed: npt.NDArray[np.bool_] | None = None,
    n_failed_elsewhere: int = 0,
    notes: list[str] | None = None,
    **more: Any,
) -> MeasuredRun:
    """Return a run of the requests that were served and measured.

    Args:
        document: for errors.
        origin: of the run.
        arrival_s: seconds on any clock, float[n]; times NaN where not known.
        failed: bool[n], requests that failed.
        n_failed_elsewhere: failed requests that are no row.
        notes: to which more are added.

    Raises:
        MeasurementError: nothing is left, half of it failed, or a time is impossible.
    """
    n = len(arrival_s)
    notes = list(notes or [])
    inputs, outputs = whole(input_tokens), whole(output_tokens)
    bad = np.zeros(n, np.bool_) if failed is None else failed.copy()
    n_failed = int(bad.sum()) + n_failed_elsewhere
    unmeasured = ~bad & (
        np.isnan(arrival_s)
        | (inputs < 0)
        | (outputs < 0)
        | (inputs + outputs > MAX_REQUEST_TOKENS)
        | (np.isnan(ttft_s) & np.isnan(e2e_s))
    )
    keep = ~bad & ~unmeasured
    if not keep.any():
        raise document.error(
            f"none of its {n + n_failed_elsewhere} requests was served and has a time, an input and an output count"
        )
    sent = n + n_failed_elsewhere
    if n_failed > FAILED_TOO_MANY * sent:
        raise document.error(
            f"{n_failed} of {sent} requests failed; what is left says little of the server, measure again"
        )
    if n_failed > FAILED_WORTH_SAYING * sent:
        notes.append(
            f"{document.path}: {n_failed} of {sent} requests failed and are left out; the load that they were is not simulated"
        )
    if unmeasured.any():
        notes.append(
            f"{document.path}: {int(unmeasured.sum())} of {sent} requests lack a time or a count and are left out"
        )
    cached = np.zeros(n) if cached_tokens is None else np.nan_to_num(cached_tokens)
    try:
        return MeasuredRun.build(
            arrival_s[keep],
            inputs[keep],
            outputs[keep],
            ttft_s=ttft_s[keep],
            e2e_s=e2e_s[keep],
            cached_tokens=np.minimum(np.maximum(cached[keep], 0), inputs[keep]).astype(np.int64),
            n_failed=n_failed,
            origin=origin,
            notes=tuple(notes),
            **more,
        )
    except MeasurementError as error:
        raise document.error(str(error)) from None
