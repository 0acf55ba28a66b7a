"""From measurements to a server that predicts: what is fitted, on which part, how well it foretells the rest.

`calibrate` holds back a part of what was measured, fits a server to the other by simulating it, and scores it on
what it has not seen. Intervals come from doing it again: the fitted run is simulated, errors like those that were
left are laid over it, and it is fitted anew. What then wanders as far as it might have without any data has not
been told by them, and is said so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.errors import MeasurementError
from simulations.fit.comparison import Comparison, Part, Posterior, level_errors
from simulations.fit.first_guess import first_guess
from simulations.fit.loading import USUAL, Loading, infer_loading, loaded
from simulations.fit.measurement import (
    FloatArray,
    Limits,
    MeasuredLevel,
    MeasuredRun,
    Measurement,
)
from simulations.fit.parameters import (
    LIMITS,
    PARAMETERS,
    Candidate,
    Space,
    Vector,
    space_of,
)
from simulations.fit.replay import Times, figures, replay, replay_level
from simulations.fit.search import search, search_near, walk_down
from simulations.trace import Shape

COVERAGE = 0.90
"""An interval is meant to hold the true value in this share of cases."""

WANDERS = 0.45
"""A number whose refits spread by more than this share of what was expected of it is not told by the data."""

WIDENED = 1.6
"""Refits begin near the fit, so they miss a part of what the search itself leaves to chance: intervals are wider by
this. Found by the round trip of benchmarks/validate_calibration.py, 2026-11-22."""

BEYOND = 1.1
"""What was held out leaves the range of what was fitted, if it asks for so many times as much at once."""

FEWEST_REQUESTS = 20
LONG_PROMPT_TOKENS = 3000
"""Prompts must reach this before the pairs of their tokens can be told from the tokens (assumed)."""


class Interval(NamedTuple):
    """Where a number lies with `COVERAGE`, and whether the data say so."""

    low: float
    high: float
    told: bool
    reached: bool = True


@dataclass(frozen=True)
class Score:
    """How a server foretells requests or levels that it was, or was not, fitted to.

    Args:
        n: requests, or figures of levels.
        e2e_error: mean of |predicted - measured| / measured of a request's end to end; None without requests.
        errors: relative errors of `ttft_mean`, `e2e_p99` ..., predicted over measured less 1.
        medians: of |predicted - measured| / measured over levels, by `ttft`, `tpot`, `e2e`.
    """

    n: int
    e2e_error: float | None = None
    errors: dict[str, float] = field(default_factory=dict)
    medians: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Reach:
    """What the fitted measurements span: beyond it a prediction is an extrapolation.

    Args:
        input_tokens, output_tokens: of the requests, smallest and largest.
        sequences: that ran at once on one server, at the most.
        context_tokens: that they held together, at the most.
    """

    input_tokens: tuple[int, int]
    output_tokens: tuple[int, int]
    sequences: int
    context_tokens: int


@dataclass(frozen=True)
class Calibration:
    """A fitted server, and how far to trust it.

    Args:
        candidate: the server.
        space: what was searched for.
        intervals: by name, of what was searched for; empty if none were asked for.
        fitted, held_out: scores on the two parts; None where there is no such part.
        reach: what the fitted measurements span.
        measurements: all of them.
        notes: sentences.
        unmet: limits that were searched for and not met by what was fitted: not identifiable.
        loading: how levels were held to their users, where their files do not say.
    """

    candidate: Candidate
    space: Space
    comparison: Comparison
    intervals: dict[str, Interval]
    fitted: tuple[Score, ...]
    held_out: tuple[Score, ...]
    reach: Reach
    measurements: tuple[Measurement, ...]
    notes: tuple[str, ...] = ()
    unmet: tuple[str, ...] = ()
    loading: Loading = USUAL

    @property
    def untold(self) -> list[str]:
        """Names of the numbers that the data do not tell; without intervals only limits that were not met."""
        if not self.intervals:
            return list(self.unmet)
        return [name for name, interval in self.intervals.items() if not interval.told]


def calibrate(
    measurements: list[Measurement],
    *,
    fit_fraction: float = 0.6,
    fit_shapes: list[Shape] | None = None,
    replicates: int = 30,
    n_starts: int = 3,
    seed: int = 0,
) -> Calibration:
    """Return a server fitted to a part of some measurements and scored on the rest.

    Args:
        measurements: of one model on one kind of server; their loads, shapes and numbers of chunks may differ.
        fit_fraction: share of a run's arrivals that is fitted, 0 < share <= 1; the later ones are held out.
        fit_shapes: shapes of the levels that are fitted; None takes the two most different where there are
            more, and every level of all where not.
        replicates: refits that the intervals rest on; 0 leaves them out.
        n_starts: searches from different populations.
        seed: of all draws.

    Raises:
        MeasurementError: there is too little to fit.
    """
    if not 0 < fit_fraction <= 1:
        raise MeasurementError(f"fit fraction is {fit_fraction}; must be above 0 and at most 1")
    parts, rest = _parted(measurements, fit_fraction, fit_shapes)
    _require_enough(parts)
    space = _space(parts)
    guess = first_guess(parts)
    guesses = [] if guess is None else [guess]
    way = infer_loading(parts, space, guesses)
    parts, rest = loaded(parts, way), loaded(rest, way)
    comparison = Comparison(parts)
    x, comparison = search(comparison, space, guesses=guesses, seed=seed, n_starts=n_starts)
    x, comparison, space = _with_attention(x, comparison, space)
    candidate = space.candidate(x)
    intervals = (
        _intervals(x, comparison, space, replicates=replicates, seed=seed) if replicates else {}
    )
    unmet = tuple(
        name
        for at, name in enumerate(space.free)
        if name in LIMITS and not _is_reached(x, at, comparison, space)
    )
    reach = _reach(parts, candidate)
    noted = [*(note for one in measurements for note in one.notes), *_said(way)]
    if rest:
        noted += _beyond(reach, _reach(rest, candidate), unmet)
    return Calibration(
        candidate,
        space,
        comparison,
        intervals,
        scores(parts, candidate),
        scores(rest, candidate),
        reach,
        tuple(measurements),
        tuple(dict.fromkeys(noted)),
        unmet,
        way,
    )


def _beyond(fitted: Reach, held_out: Reach, unmet: tuple[str, ...]) -> list[str]:
    """Return a sentence for each way in which the held-out part asks for more at once than the fitted one."""
    found = []
    for limit, there, here, unit in (
        ("max_sequences", held_out.sequences, fitted.sequences, "sequences"),
        ("kv_tokens", held_out.context_tokens, fitted.context_tokens, "tokens of context"),
    ):
        if there <= BEYOND * here:
            continue
        sentence = (
            f"what was held out asks for up to {there:,} {unit} at once, and what was fitted had {here:,} at the most: "
            "its score is that of an extrapolation"
        )
        if limit in unmet:
            sentence += f"; {limit} is not identifiable, and waits for it are not foretold"
        found.append(sentence)
    return found


def _said(way: Loading) -> list[str]:
    if way == USUAL:
        return []
    return [
        f"how the levels were loaded is not in the file; their times are explained best by {way} "
        f"(usual are {USUAL})"
    ]


def scores(parts: tuple[Part, ...], candidate: Candidate) -> tuple[Score, ...]:
    """Return a score for every run, and one for all levels together."""
    found: list[Score] = []
    levels: dict[str, list[float]] = {}
    for part in parts:
        if isinstance(part.measurement, MeasuredLevel):
            level = part.measurement
            times = replay_level(level, candidate)
            errors = np.expm1(level_errors(level, times))
            for name, error in zip(level.figures, errors, strict=True):
                levels.setdefault(name.partition("_")[0], []).append(abs(float(error)))
        elif part.mask.any():
            found.append(_run_score(part, replay(part.run, candidate)))
    if levels:
        medians = {name: float(np.median(values)) for name, values in levels.items()}
        every = [value for values in levels.values() for value in values]
        found.append(Score(len(every), medians=medians | {"all": float(np.median(every))}))
    return tuple(found)


def _run_score(part: Part, times: Times) -> Score:
    run, mask = part.run, part.mask
    measured = figures(Times(run.ttft_s[mask], run.e2e_s[mask]), run.output_tokens[mask])
    predicted = figures(Times(times.ttft_s[mask], times.e2e_s[mask]), run.output_tokens[mask])
    relative = np.abs(times.e2e_s[mask] / run.e2e_s[mask] - 1.0)
    relative = relative[~np.isnan(relative)]
    return Score(
        int(mask.sum()),
        float(relative.mean()) if len(relative) else None,
        {
            name: predicted[name] / value - 1.0
            for name, value in measured.items()
            if name in predicted and value > 0
        },
    )


def _parted(
    measurements: list[Measurement], fit_fraction: float, fit_shapes: list[Shape] | None
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Return what is fitted and what is held out."""
    fitted: list[Part] = []
    rest: list[Part] = []
    levels = [one for one in measurements if isinstance(one, MeasuredLevel)]
    shapes = fit_shapes if fit_shapes is not None else fitted_shapes(levels)
    if fit_shapes is not None and not any(level.shape in shapes for level in levels):
        raise MeasurementError(
            f"no level has one of the shapes {', '.join(map(str, fit_shapes))}; found "
            f"{', '.join(sorted({str(level.shape) for level in levels})) or 'no level'}"
        )
    for one in measurements:
        if isinstance(one, MeasuredLevel):
            (fitted if one.shape in shapes else rest).append(Part(one))
            continue
        before = np.zeros(len(one), np.bool_)
        # By place and not by time: all may have been sent at once.
        before[: max(1, round(fit_fraction * len(one)))] = True
        fitted.append(Part(one, before))
        if not before.all():
            rest.append(Part(one, ~before))
    return tuple(fitted), tuple(rest)


def fitted_shapes(levels: list[MeasuredLevel]) -> list[Shape]:
    """Return the shapes to fit: of three and more the two whose prompts weigh least and most."""
    shapes = sorted(
        {level.shape for level in levels},
        key=lambda shape: (shape.input_tokens / max(1, shape.output_tokens), shape.input_tokens),
    )
    return shapes if len(shapes) < 3 else [shapes[0], shapes[-1]]


def _require_enough(parts: tuple[Part, ...]) -> None:
    figures_known = 0
    for part in parts:
        if isinstance(part.measurement, MeasuredLevel):
            figures_known += len(part.measurement.figures)
        else:
            figures_known += len(part.e2e.rows) + len(part.ttft.rows)
            if len(part.e2e.rows) + len(part.ttft.rows) and len(part.mask) < FEWEST_REQUESTS:
                raise MeasurementError(
                    f"{part.run.origin.path or 'the run'} has {len(part.mask)} requests; at least "
                    f"{FEWEST_REQUESTS} are needed to fit a server"
                )
    if figures_known < 4:
        raise MeasurementError(
            f"{figures_known} times were measured in all; a server cannot be told from fewer than 4"
        )


def _space(parts: tuple[Part, ...]) -> Space:
    """Return what is to be found: all times, and those limits that could have been met."""
    runs = [part.run for part in parts if isinstance(part.measurement, MeasuredRun)]
    known = Limits()
    for part in parts:
        known = known.over(part.measurement.limits)
    names = ["iteration_s", "sequence_s", "context_s", "prefill_s", "routing_s"]
    if runs:
        longest = max(run.longest_tokens for run in runs)
        names += LIMITS
    else:
        levels = [one.measurement for one in parts if isinstance(one.measurement, MeasuredLevel)]
        longest = max(level.shape.total_tokens for level in levels)
        most = max(level.users or 1 for level in levels)
        # Means of a closed loop hardly tell a server that is full from one that is slow.
        known = known.over(Limits(max(256, most), max(8192, most)))
    if known.kv_tokens is not None and known.kv_tokens < longest:
        raise MeasurementError(
            f"kv_tokens is {known.kv_tokens}, and a request of {longest} tokens was served; it must be larger"
        )
    return space_of(names, known, longest_tokens=longest)


def _with_attention(
    x: Vector, comparison: Comparison, space: Space
) -> tuple[Vector, Comparison, Space]:
    """Return the fit with attention in it, where prompts are long enough and it is the better for it."""
    longest = max(
        int(part.run.input_tokens.max())
        if isinstance(part.measurement, MeasuredRun)
        else part.measurement.shape.input_tokens
        for part in comparison.parts
    )
    if longest < LONG_PROMPT_TOKENS:
        return x, comparison, space
    wider = Space(
        tuple(name for name in PARAMETERS if name in (*space.free, "attention_s")),
        space.fixed,
        space.lowest,
    )
    start = wider.point(
        replace(space.candidate(x), attention_s=1e-5 * space.candidate(x).prefill_s)
    )
    posterior = comparison.posterior(wider)
    near = walk_down if comparison.is_smooth else search_near
    with_it, better = near(posterior, start)
    # What the data must gain for one more number (Schwarz's criterion has ln n, 6 for 400 requests).
    if better < comparison.posterior(space)(x) - 6.0:
        return with_it, comparison.rescaled(wider.candidate(with_it)), wider
    return x, comparison, space


# --- intervals ---------------------------------------------------------------------------------


def _intervals(
    x: Vector, comparison: Comparison, space: Space, *, replicates: int, seed: int
) -> dict[str, Interval]:
    chance = np.random.default_rng(seed)
    fitted = space.candidate(x)
    points = np.array([_refitted(x, comparison, space, fitted, chance) for _ in range(replicates)])
    values = {
        name: np.array([float(getattr(space.candidate(point), name)) for point in points])
        for name in space.free
    }
    found: dict[str, Interval] = {}
    width = WIDENED * 1.645 * math.sqrt(1.0 + 1.0 / replicates)
    for at, name in enumerate(space.free):
        value = float(getattr(fitted, name))
        logs = np.log(np.maximum(values[name], 1e-300) / max(value, 1e-300))
        spread = float(np.sqrt(np.mean(logs**2)))
        told = spread < WANDERS * PARAMETERS[name].spread
        low, high = value * math.exp(-width * spread), value * math.exp(width * spread)
        reached = True
        if PARAMETERS[name].count:
            low, high = math.floor(low), math.ceil(high)
            reached = _is_reached(x, at, comparison, space)
            if not reached:
                low, high, told = _least_unmet(x, name, comparison, space), math.inf, False
        found[name] = Interval(low, high, told, reached)
    return found


def _is_reached(x: Vector, at: int, comparison: Comparison, space: Space) -> bool:
    """Return whether a limit was met: whether twice as much of it would have been another run."""
    name = space.free[at]
    candidate = space.candidate(x)
    doubled = replace(candidate, **{name: 2 * getattr(candidate, name)})
    return comparison.cost(doubled) - comparison.cost(candidate) > 2.0


def _least_unmet(x: Vector, name: str, comparison: Comparison, space: Space) -> int:
    """Return about the least value of a limit with which the run would have been the same."""
    candidate = space.candidate(x)
    cost, value = comparison.cost(candidate), int(getattr(candidate, name))
    lowest = max(1, int(space.lowest.get(name, 1)))
    while (less := int(0.85 * value)) >= lowest and less < value:
        if comparison.cost(replace(candidate, **{name: less})) - cost > 2.0:
            break
        value = less
    return value


def _refitted(
    x: Vector,
    comparison: Comparison,
    space: Space,
    fitted: Candidate,
    chance: np.random.Generator,
) -> Vector:
    """Return where a fit ends up that sees the fitted server's run with errors like those that were left."""
    parts = tuple(_imitated(part, comparison, fitted, chance) for part in comparison.parts)
    again = replace(comparison, parts=parts)
    # What is expected is drawn anew too: else a number that the data do not tell would seem sure.
    posterior = Posterior(again, space, chance.normal(size=len(space)))
    start = x + 0.3 * chance.normal(size=len(x))
    for at, name in enumerate(space.free):
        if name in LIMITS:
            start[at] = x[at]
    if comparison.is_smooth:
        return walk_down(posterior, start)[0]
    return search_near(posterior, start, evaluations=70 * len(x), rounds=1)[0]


def _imitated(
    part: Part, comparison: Comparison, fitted: Candidate, chance: np.random.Generator
) -> Part:
    """Return a measurement as the fitted server would have given it, errors included."""
    one = part.measurement
    if isinstance(one, MeasuredLevel):
        errors = np.exp(level_errors(one, replay_level(one, fitted)))
        units = np.where(part.is_ttft, comparison.scales.level_ttft, comparison.scales.level)
        drawn = np.exp(units * chance.normal(size=len(units)))
        simulated = {
            name: value * error * noise
            for (name, value), error, noise in zip(one.figures.items(), errors, drawn, strict=True)
        }
        return Part(replace(one, figures=simulated))
    times = replay(one, fitted)
    rows = np.flatnonzero(part.mask)
    drawn_rows = _blocks(len(rows), chance)
    ttft, e2e = times.ttft_s.copy(), times.e2e_s.copy()
    for column, measured in ((ttft, one.ttft_s), (e2e, one.e2e_s)):
        errors = np.log(measured[rows]) - np.log(column[rows])
        errors = np.where(np.isnan(errors), 0.0, errors)
        errors -= np.median(errors)
        limit = 6 * 1.4826 * np.median(np.abs(errors)) + 1e-9
        column[rows] *= np.exp(np.clip(errors, -limit, limit)[drawn_rows])
    ttft = np.where(np.isnan(one.ttft_s), np.nan, ttft)
    e2e = np.where(np.isnan(one.e2e_s), np.nan, np.fmax(e2e, ttft))
    return Part(replace(one, ttft_s=ttft, e2e_s=e2e), part.counts)


def _blocks(n: int, chance: np.random.Generator) -> npt.NDArray[np.intp]:
    """Return n places drawn in blocks of neighbours, whose errors are alike."""
    length = max(1, round(n ** (1 / 3)))
    starts = chance.integers(0, n, size=-(-n // length))
    return np.asarray((starts[:, None] + np.arange(length)).ravel()[:n] % n)


def _reach(parts: tuple[Part, ...], candidate: Candidate) -> Reach:
    inputs: list[int] = []
    outputs: list[int] = []
    sequences = context = 0
    for part in parts:
        one = part.measurement
        if isinstance(one, MeasuredLevel):
            inputs.append(one.shape.input_tokens)
            outputs.append(one.shape.output_tokens)
            users = one.users
            if users is None:
                e2e = float(np.nanmean(replay_level(one, candidate).e2e_s))
                users = max(1, round((one.rate_per_s or 0.0) * e2e))
            running = min(-(-users // one.chunks), candidate.max_sequences)
            sequences = max(sequences, running)
            context = max(context, running * one.shape.total_tokens)
            continue
        rows = part.mask
        inputs += [int(one.input_tokens[rows].min()), int(one.input_tokens[rows].max())]
        outputs += [int(one.output_tokens[rows].min()), int(one.output_tokens[rows].max())]
        times = replay(one, candidate)
        begin, end = (one.arrival_s + times.ttft_s)[rows], (one.arrival_s + times.e2e_s)[rows]
        held = (one.input_tokens + one.output_tokens / 2).astype(np.float64)[rows]
        running_peak, held_peak = _peaks(begin, end, held)
        sequences = max(sequences, -(-running_peak // one.chunks))
        context = max(context, int(held_peak / one.chunks))
    return Reach(
        (min(inputs), max(inputs)), (min(outputs), max(outputs)), max(1, sequences), max(1, context)
    )


def _peaks(begin: FloatArray, end: FloatArray, held: FloatArray) -> tuple[int, float]:
    """Return the most requests at once, and the most that they hold together."""
    known = ~(np.isnan(begin) | np.isnan(end))
    times = np.concatenate([end[known], begin[known]])
    order = np.argsort(times, kind="stable")
    ones = np.concatenate([-np.ones(int(known.sum())), np.ones(int(known.sum()))])
    tokens = np.concatenate([-held[known], held[known]])
    return (
        int(np.cumsum(ones[order]).max(initial=0)),
        float(np.cumsum(tokens[order]).max(initial=0.0)),
    )
