"""The search for the server whose simulation meets the measurements: from several starts, whole first, then near.

The misfit has steps (a count is a whole number, an iteration more or less), valleys in which two numbers do each
other's work, and, where memory is short, cliffs: one preemption more and all that follows is another run. So it is
looked at from afar first. In wide units of error a population that evolves finds the valley; in the units that a good
fit leaves, a simplex and slopes over wide steps find its floor, and counts are tried one by one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from scipy.optimize import differential_evolution, least_squares, minimize
from scipy.stats import qmc

from simulations.errors import ScenarioError
from simulations.fit.comparison import Comparison, Posterior, Scales
from simulations.fit.measurement import FloatArray, MeasuredLevel, MeasuredRun
from simulations.fit.parameters import LIMITS, PARAMETERS, WIDEST, Candidate, Space, Vector
from simulations.fit.replay import replay

REQUESTS_IN_ALL = 2_000_000
"""Requests that a whole search simulates, about; at least `FEWEST` evaluations whatever they cost."""

FEWEST, MOST = 400, 3000

FROM_AFAR = Scales(0.1, 0.4)
NEARER = Scales(0.03, 0.12)
"""Units in which single preemptions do not count, and units in which some do; then those that the fit leaves."""

N_NEAR = 5
"""Points from which the floor is looked for."""

APART = 0.25
"""Points are of the same valley, if none of their coordinates is further apart (spreads)."""

NEEDED = 2.0
"""What a limit must gain to be there: where it was not met, the run is the same without it."""

NEEDED_BY_MEMORY = 6.0
"""The same of memory, of which many sizes are tried: Schwarz's ln n for 400 requests."""

STEPS = (0.7, 0.85, 0.94, 0.98, 0.993, 0.998, 1.002, 1.007, 1.02, 1.06, 1.17, 1.4)

ITERATION_SHARES = (0.4, 0.6, 0.75, 0.88)
CONTEXT_SHARES = (0.15, 0.4, 0.65, 0.9)
"""Of an iteration's time, and of what is left of it."""

MEMORY_SIZES = 14
"""Sizes of memory that are tried between what must have been there and a little more than what seemed to be held."""

WALKS_OF_MEMORY = 48
"""Of all sizes and ways to share the time of an iteration so many are walked down, fewer where runs are long."""

WAITED = 5.0
"""A first token that took so many times what the prompt alone takes stood in the queue."""


def search(
    comparison: Comparison, space: Space, *, guesses: list[Candidate], seed: int, n_starts: int
) -> tuple[Vector, Comparison]:
    """Return the best point of several searches, and the comparison in units of the errors it leaves.

    Args:
        comparison: what was measured.
        space: what is searched for.
        guesses: servers to begin with, beside evenly spread ones.
        seed: of the first population; the others follow.
        n_starts: populations.
    """
    if comparison.is_smooth:
        return _search_smooth(comparison, space, guesses=guesses)
    far = replace(comparison, scales=FROM_AFAR)
    found: list[tuple[Vector, float]] = []
    for turn in range(n_starts):
        starts = _population(far, space, guesses=guesses, seed=seed + turn)
        found += _evolved(far.posterior(space), starts, seed=seed + turn)
    # Slots, memory, or neither: a population that has settled for one is not asked about the others.
    best, _ = min(found, key=lambda point: point[1])
    for limits in _possible_limits(far, space):
        other = space.point(replace(space.candidate(best), **limits))
        found.append(walk_down(far.posterior(space), other))
    best, _ = min(found, key=lambda point: point[1])
    memory = _of_memory(far, space, best)
    for units in (NEARER, None):
        found = sorted([*found, *(memory if units else [])], key=lambda point: point[1])
        x = found[0][0]
        comparison = (
            replace(comparison, scales=units)
            if units is not None
            else comparison.rescaled(space.candidate(x))
        )
        posterior = comparison.posterior(space)
        points = _distinct([point for point, _ in found], N_NEAR)
        if memory:
            points += [point for point, _ in found[:N_NEAR]]
            points += _with_room(far, space, found)
        points += _along_the_valley(comparison, space, x)
        found = [search_near(posterior, point, rounds=1) for point in _different(points)]
        if memory:
            again = _evolved_near(comparison, space, found, seed=seed)
            found.append(search_near(posterior, again, rounds=1))
    x, _ = min(found, key=lambda point: point[1])
    comparison = comparison.rescaled(space.candidate(x))
    x, _ = search_near(comparison.posterior(space), x)
    with_room = _with_room(far, space, sorted(found, key=lambda point: point[1]))
    return _without_needless(comparison, space, x, with_room), comparison


def _with_room(
    comparison: Comparison, space: Space, found: list[tuple[Vector, float]]
) -> list[Vector]:
    """Return the first two points whose memory is never short."""
    if "kv_tokens" not in space.free:
        return []
    at = space.free.index("kv_tokens")
    _, _, far = _seen(comparison, space)
    enough = _with_count(space, np.zeros(len(space)), "kv_tokens", far["kv_tokens"])[at] - 0.01
    return [x for x, _ in found if x[at] >= enough][:2]


def _population(
    comparison: Comparison, space: Space, *, guesses: list[Candidate], seed: int
) -> list[Vector]:
    """Return evenly spread points; limits about what was seen at once, or far from it."""
    d = len(space)
    evaluations = _evaluations(comparison)
    n = int(np.clip(evaluations // 25, 4 * d, 12 * d))
    spread = qmc.Sobol(d, seed=seed).random_base2(int(np.ceil(np.log2(n))))[:n]
    middle = guesses[0] if guesses else space.candidate(np.zeros(d))
    _, seen, far = _seen(comparison, space)
    points = []
    for at, place in enumerate(spread):
        x = 2.5 * (2.0 * place - 1.0)
        if at % 2:
            # About the guess: what it says of an iteration's length is right, of its parts less so.
            x = space.point(middle) + (2.0 * place - 1.0)
        for name in seen:
            if name not in space.free:
                continue
            share = place[space.free.index(name)]
            # A third without the limit, the others from less than half of what seemed to be held at once: who was
            # preempted seems to hold its tokens all the same.
            value = far[name] if share > 2 / 3 else seen[name] * 0.4 * 3.0 ** (1.5 * share)
            x = _with_count(space, x, name, max(1, round(value)))
        points.append(np.clip(x, -0.999 * WIDEST, 0.999 * WIDEST))
    for at, guess in enumerate(guesses):
        points[at] = np.clip(space.point(guess), -0.999 * WIDEST, 0.999 * WIDEST)
    return points


def _evolved(
    posterior: Posterior, starts: list[Vector], *, seed: int
) -> list[tuple[Vector, float]]:
    """Return the best few points of a population that evolved, each walked down, with their misfits."""
    d = len(starts[0])
    found = differential_evolution(
        posterior,
        [(-WIDEST, WIDEST)] * d,
        init=np.array(starts),
        maxiter=max(10, _evaluations(posterior.comparison) // len(starts) - 1),
        seed=seed,
        tol=1e-6,
        atol=1e-3,
        mutation=(0.4, 0.9),
        polish=False,
    )
    order = np.argsort(found.population_energies)
    best = _distinct([found.population[at] for at in order], 2)
    return [
        min((walk_down(posterior, x), (x, posterior(x))), key=lambda point: point[1]) for x in best
    ]


def _evolved_near(
    comparison: Comparison, space: Space, found: list[tuple[Vector, float]], *, seed: int
) -> Vector:
    """Return the best point of a population that evolved from between and around points that were found.

    Where memory is short the misfit is rough all along its valleys, and simplex and slope stay where they are put.
    """
    chance = np.random.default_rng(seed)
    best = [x for x, _ in sorted(found, key=lambda point: point[1])]
    scatter = np.array([0.01 if name in LIMITS else 0.1 for name in space.free])
    points = list(best)
    for x in best[:3]:
        for _ in range(2):
            share = float(chance.uniform(0.3, 0.9))
            points += _along_the_valley(comparison, space, x, iterations=(share,))
        points += list(x + scatter * chance.normal(size=(8, len(x))))
    evolved = differential_evolution(
        comparison.posterior(space),
        [(-WIDEST, WIDEST)] * len(space),
        init=np.clip(np.array(points), -0.999 * WIDEST, 0.999 * WIDEST),
        maxiter=max(10, 2 * _evaluations(comparison) // len(points)),
        seed=seed,
        tol=1e-6,
        atol=1e-3,
        mutation=(0.3, 0.9),
        polish=False,
    )
    return np.asarray(evolved.x, np.float64)


def _evaluations(comparison: Comparison) -> int:
    return int(np.clip(REQUESTS_IN_ALL / comparison.n_simulated, FEWEST, MOST))


def _distinct(points: list[Vector], n: int) -> list[Vector]:
    """Return the first n points that are not beside one another."""
    kept: list[Vector] = []
    for point in points:
        if all(np.abs(point - other).max() > APART for other in kept):
            kept.append(np.asarray(point, np.float64))
    return kept[:n]


def _different(points: list[Vector]) -> list[Vector]:
    """Return the points without those that came twice."""
    return list({point.tobytes(): point for point in points}.values())


def _with_count(space: Space, x: Vector, name: str, value: int) -> Vector:
    """Return a point with another count."""
    parameter = PARAMETERS[name]
    changed = x.copy()
    changed[space.free.index(name)] = np.clip(
        np.log(value / parameter.expected) / parameter.spread, -WIDEST, WIDEST
    )
    return changed


def _seen(comparison: Comparison, space: Space) -> tuple[int, dict[str, int], dict[str, int]]:
    """Return the most sequences at once, limits that would have been met, and some that would not."""
    runs = [part for part in comparison.parts if isinstance(part.measurement, MeasuredRun)]
    peaks = [part.run.peaks(part.mask) for part in runs]
    sequences = max((peak for peak, _ in peaks), default=0)
    tokens = max((peak for _, peak in peaks), default=0)
    seen = {
        "max_sequences": max(1, sequences),
        "kv_tokens": max(round(1.02 * tokens), int(space.lowest.get("kv_tokens", 1))),
    }
    far = {
        "max_sequences": max(256, 2 * sequences),
        "kv_tokens": max(400_000, 4 * tokens),
    }
    return sequences, seen, far


def _possible_limits(comparison: Comparison, space: Space) -> list[dict[str, int]]:
    """Return which limits may have been met: the slots, the memory, neither, or both of those that are free.

    A limit that was met shows in the most that was seen at once.
    """
    sequences, seen, far = _seen(comparison, space)
    free = [name for name in seen if name in space.free]
    if not free:
        return []
    found = [{name: far[name] for name in free}]
    if sequences and len(free) == 2:
        found.append({name: seen[name] for name in free})
    for name in free if sequences else []:
        found.append({other: (seen if other == name else far)[other] for other in free})
    return found


def _of_memory(comparison: Comparison, space: Space, x: Vector) -> list[tuple[Vector, float]]:
    """Return points at several sizes of memory, each with the times that fit it, and their misfits; best first.

    Memory a tenth off makes every preemption another one, so the times found beside a wrong size are wrong too: each
    size is asked with times of its own. While memory is full, its context is a part of every iteration, and
    what an empty iteration takes and what context takes do each other's work; so that is shared out anew as well.
    """
    sizes = _sizes_of_memory(comparison, space, space.candidate(x))
    if not sizes:
        return []
    posterior = comparison.posterior(space)
    each = int(np.clip(WALKS_OF_MEMORY * 300 / comparison.n_simulated / len(sizes), 1, 3))
    starts: list[Vector] = []
    for size in sizes:
        other = _with_count(space, x, "kv_tokens", size)
        shared = [other, *_along_the_valley(comparison, space, other, iterations=ITERATION_SHARES)]
        shared.sort(key=posterior)
        starts += shared[:each]
    return sorted((walk_down(posterior, start) for start in starts), key=lambda point: point[1])


def _sizes_of_memory(comparison: Comparison, space: Space, candidate: Candidate) -> list[int]:
    """Return sizes of memory between what must have been there and more than what seemed to be held.

    Who waited for memory came in when it had just become free: what was held then is about its size. A preempted
    request seems to hold its tokens and does not, so this is too much where there were many.
    """
    if "kv_tokens" not in space.free:
        return []
    held: list[FloatArray] = []
    peak = 0.0
    for part in comparison.parts:
        if not isinstance(part.measurement, MeasuredRun):
            continue
        run = part.run
        known = np.flatnonzero(part.mask & ~np.isnan(run.ttft_s) & ~np.isnan(run.e2e_s))
        alone_s = (
            candidate.routing_s
            + 2 * candidate.iteration_s
            + candidate.prefill_s * run.input_tokens[known]
        )
        waited = known[run.ttft_s[known] > WAITED * alone_s]
        at_s = run.arrival_s[waited] + run.ttft_s[waited]
        tokens = run.held_tokens(part.mask, at_s)
        if len(tokens):
            held.append(tokens)
        peak = max(peak, float(run.peaks(part.mask)[1]))
    if not held or peak <= 0:
        return []  # nobody waited, so nobody waited for memory
    lowest = int(space.lowest.get("kv_tokens", 1))
    seen = np.quantile(np.concatenate(held), [0.25, 0.5, 0.75, 0.95])
    grid = np.geomspace(max(lowest, 0.5 * seen[0]), max(1.3 * peak, 1.01 * lowest), MEMORY_SIZES)
    return sorted({max(lowest, round(size)) for size in (*seen, *grid)})


def _without_needless(
    comparison: Comparison, space: Space, x: Vector, with_room: list[Vector]
) -> Vector:
    """Return the point without the limits of slots and memory that the data do not ask for.

    Where a limit was not met, or by a request or two, any value from there on is as good; one just above what was seen
    would be met by the first busier hour.
    """
    _, _, far = _seen(comparison, space)
    posterior = comparison.posterior(space)
    for name in ("kv_tokens", "max_sequences"):
        if name not in space.free or getattr(space.candidate(x), name) >= far[name]:
            continue
        others = [_with_count(space, x, name, far[name])]
        if name == "kv_tokens":
            others += with_room
        other, _ = min(
            (search_near(posterior, other, rounds=1) for other in others),
            key=lambda point: point[1],
        )
        if getattr(space.candidate(other), name) < far[name]:
            other = _with_count(space, other, name, far[name])
        gain = comparison.cost(space.candidate(other)) - comparison.cost(space.candidate(x))
        if gain < (NEEDED_BY_MEMORY if name == "kv_tokens" else NEEDED):
            x = other
    return x


def _search_smooth(
    comparison: Comparison, space: Space, *, guesses: list[Candidate]
) -> tuple[Vector, Comparison]:
    """Return the best point for figures of levels, which are dear to simulate and have slopes."""
    starts = [space.point(guess) for guess in guesses] or [np.zeros(len(space))]
    for turn in range(2):
        posterior = comparison.posterior(space)
        found = [walk_down(posterior, start) for start in starts]
        x, best = min(found, key=lambda point: point[1])
        if turn == 0:
            comparison = comparison.rescaled(space.candidate(x))
            starts = [x, *_along_the_valley(comparison, space, x)[::2]]
    x, _ = _try_counts(comparison.posterior(space), x, best)
    return x, comparison


def walk_down(posterior: Posterior, start: Vector, *, step: float = 0.02) -> tuple[Vector, float]:
    """Return the best point down the slope from a start, and its misfit."""
    try:
        found = _least_squares(posterior, start, step)
    except ScenarioError:  # on the way was a server that never ends
        return start, posterior(start)
    return np.asarray(found.x, np.float64), posterior(found.x)


def _least_squares(posterior: Posterior, start: Vector, step: float) -> Any:
    return least_squares(
        posterior.residuals,
        np.clip(start, -0.999 * WIDEST, 0.999 * WIDEST),
        bounds=(-WIDEST, WIDEST),
        loss="soft_l1",
        # Wide steps: over a smaller one a cohort more or less is the slope.
        diff_step=np.minimum(step / np.maximum(np.abs(start), 0.05), 0.4),
        max_nfev=15,
        ftol=1e-3,
    )


def _along_the_valley(
    comparison: Comparison, space: Space, x: Vector, *, iterations: tuple[float, ...] = ()
) -> list[Vector]:
    """Return points at which sequences and their context share the same time in other ways.

    While a server is full, its sequences and the context in them grow together, and a simplex does not find
    the way from one explanation of an iteration's time to another.

    Args:
        comparison: what was measured.
        space: what is searched for.
        x: where the time is taken from.
        iterations: shares that the empty iteration gets of it; none to leave it as it is.
    """
    candidate = space.candidate(x)
    sequences, context = 0.0, 0.0
    for part in comparison.parts:
        one = part.measurement
        if isinstance(one, MeasuredLevel):
            users = float(one.users or 8)
            tokens = one.shape.input_tokens + one.shape.output_tokens / 2
            sequences, context = max(sequences, users), max(context, users * tokens)
            continue
        times = replay(one, candidate)
        busy_s = np.nan_to_num(times.e2e_s - times.ttft_s)
        span_s = max(float(np.nanmax(one.arrival_s + times.e2e_s)), 1e-9) * one.chunks
        held = one.input_tokens + one.output_tokens / 2
        sequences = max(sequences, float(busy_s.sum()) / span_s)
        context = max(context, float((busy_s * held).sum()) / span_s)
    if sequences <= 0 or context <= 0:
        return []
    if not {"sequence_s", "context_s"} <= set(space.free):
        return []
    rest_s = candidate.sequence_s * sequences + candidate.context_s * context
    whole_s = candidate.iteration_s + rest_s
    points = []
    for iteration_s in [share * whole_s for share in iterations] or [candidate.iteration_s]:
        shared_s = whole_s - iteration_s
        points += [
            space.point(
                replace(
                    candidate,
                    iteration_s=iteration_s,
                    sequence_s=shared_s * (1 - share) / sequences,
                    context_s=shared_s * share / context,
                )
            )
            for share in CONTEXT_SHARES
        ]
    return points


def search_near(
    posterior: Posterior, start: Vector, *, evaluations: int | None = None, rounds: int = 3
) -> tuple[Vector, float]:
    """Return the best point near a start, and its misfit.

    Args:
        posterior: what is to be made small.
        start: where to begin.
        evaluations: of one walk of the simplex; None for so many as the simulation allows.
        rounds: walks, each followed by a look at other counts; fewer where nothing gets better.
    """
    d = len(start)
    if evaluations is None:
        evaluations = int(
            np.clip(REQUESTS_IN_ALL / 8 / posterior.comparison.n_simulated, 60 * d, 160 * d)
        )
    x, best = np.asarray(start, np.float64), posterior(np.asarray(start, np.float64))
    for turn in range(rounds):
        before = best
        for step in (0.05, 0.01):
            # The slope over wide steps passes over single iterations, and sees every request's own error.
            lower, cost = walk_down(posterior, x, step=step)
            if cost < best:
                x, best = lower, cost
        size = 0.15 / (1 + turn)
        simplex = np.vstack([x, x + size * np.diag(np.where(np.arange(d) % 2 == turn % 2, 1, -1))])
        found = minimize(
            posterior,
            x,
            method="Nelder-Mead",
            options={
                "initial_simplex": simplex,
                "maxfev": evaluations,
                "xatol": 1e-4,
                "fatol": 1e-4,
                "adaptive": True,
            },
        )
        if found.fun < best:
            x, best = found.x, float(found.fun)
        x, best = _try_counts(posterior, x, best)
        if before - best < 1e-3:
            break
    return x, best


def _try_counts(posterior: Posterior, x: Vector, best: float) -> tuple[Vector, float]:
    """Return the point with other counts, where they are better."""
    space = posterior.space
    for at, name in enumerate(space.free):
        if name not in LIMITS:
            continue
        parameter = PARAMETERS[name]
        improved = True
        while improved:
            improved = False
            value = getattr(space.candidate(x), name)
            for other in {value - 1, value + 1, *(round(value * step) for step in STEPS)}:
                if other < 1 or other == value:
                    continue
                tried = x.copy()
                tried[at] = np.clip(
                    np.log(other / parameter.expected) / parameter.spread, -WIDEST, WIDEST
                )
                cost = posterior(tried)
                if cost < best - 1e-6:
                    x, best, improved = tried, cost, True
    return x, best
