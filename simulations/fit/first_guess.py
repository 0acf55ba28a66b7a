"""A server to begin a search with, by regression: no simulation, no certainty.

The mean time per output token of a request is the mean iteration while it was answered, and that is linear in the
sequences beside it, their context and the prompts that came in between. All of these can be read off the measured
times, so non-negative least squares give the four coefficients at once; too coarse to predict with (waiting is
not in it), close enough to start from.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from simulations.fit.comparison import Part
from simulations.fit.measurement import FloatArray, MeasuredLevel
from simulations.fit.parameters import Candidate

FEWEST_ROWS = 5


def first_guess(parts: tuple[Part, ...]) -> Candidate | None:
    """Return a server whose iterations are about as long as the measured ones, or None where that cannot be told."""
    rows: list[FloatArray] = []
    for part in parts:
        if isinstance(part.measurement, MeasuredLevel):
            rows.extend(_level_row(part.measurement))
        else:
            rows.extend(_run_rows(part))
    if len(rows) < FEWEST_ROWS:
        return None
    table = np.array(rows)
    tpot, design = table[:, 0], table[:, 1:]
    weights = 1.0 / tpot
    size = np.abs(design * weights[:, None]).max(axis=0)
    size[size == 0] = 1.0
    found, _ = nnls(design * weights[:, None] / size, np.ones(len(tpot)))
    iteration_s, sequence_s, context_s, prefill_s = (float(v) for v in found / size)
    if iteration_s <= 0:
        iteration_s = 0.3 * float(np.median(tpot))
    return Candidate(
        iteration_s,
        sequence_s or 1e-4 * iteration_s,
        context_s or 3e-7 * iteration_s,
        prefill_s or 1e-3 * iteration_s,
        3e-5 * (prefill_s or 1e-3 * iteration_s),
        0.003,
    )


def _level_row(level: MeasuredLevel) -> list[FloatArray]:
    """Return time per token, 1, sequences, context and prefill tokens of an iteration at a level."""
    tpot = level.figures.get("tpot_mean") or level.figures.get("tpot_p50")
    if tpot is None or level.shape.output_tokens < 2:
        return []
    users = level.users
    if users is None:
        e2e = level.figures.get("e2e_mean")
        if e2e is None or level.rate_per_s is None:
            return []
        users = max(1, round(level.rate_per_s * e2e))
    sequences = users / level.chunks
    tokens = level.shape.input_tokens + level.shape.output_tokens / 2
    prompts = sequences * level.shape.input_tokens / level.shape.output_tokens
    return [np.array([tpot, 1.0, sequences, sequences * tokens, prompts])]


def _run_rows(part: Part) -> list[FloatArray]:
    run, wanted = part.run, part.mask
    known = wanted & ~np.isnan(run.tpot_s) & (run.output_tokens >= 8)
    begin = (run.arrival_s + run.ttft_s)[known]
    end = (run.arrival_s + run.e2e_s)[known]
    inputs, outputs = run.input_tokens[known], run.output_tokens[known]
    tpot = run.tpot_s[known]
    held = inputs + outputs / 2
    rows: list[FloatArray] = []
    order = np.argsort(begin)
    starts = begin[order]
    prompts = np.concatenate([[0], np.cumsum(inputs[order])])
    for low, high, one in zip(begin, end, tpot, strict=True):
        if high <= low:
            continue
        overlap: npt.NDArray[np.float64] = np.clip(
            np.minimum(end, high) - np.maximum(begin, low), 0.0, None
        ) / (high - low)
        between = (
            prompts[np.searchsorted(starts, high)] - prompts[np.searchsorted(starts, low, "right")]
        )
        each = 1.0 / run.chunks
        rows.append(
            np.array(
                [
                    one,
                    1.0,
                    max(1.0, each * float(overlap.sum())),
                    each * float(overlap @ held),
                    each * float(between) * one / (high - low),
                ]
            )
        )
    return rows
