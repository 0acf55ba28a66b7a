"""The burst process of a trace: what is left of its dispersion once the rate is taken out, window by window.

Where requests are a renewal process whose rate is modulated, the variance of the count in a window at
expected count m is c m + s m^2: c from the gaps, s what windows keep of the modulation's variance. So
dispersion at several windows tells gaps from bursts, and how long bursts last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

from simulations.statistics import Hole
from simulations.ticks import TICKS_PER_S
from simulations.trace import Trace
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client
from simulations.traffic.on_off import OnOff, held_fraction
from simulations.traffic.renewal import LEAST_CV, MOST_CV, Renewal
from simulations.traffic.stepped import SteppedRate
from simulations.traffic.windows import windows

WIDTHS_S = (1, 10, 60, 300, 1800)
FEWEST_WINDOWS = 8
FEWEST_PER_WINDOW = 0.2
"""Mean requests below which a window says nothing about how they cluster."""

SIGMAS = 4.0
"""How far from a hypothesis dispersion may be by chance, in standard errors."""

SLACK = 0.1
"""And in shares of it, since a rate in steps is not the rate."""

ON_FRACTIONS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5)
"""Shares of time in bursts that are tried; variance and duration leave them open, peaks do not."""

STEADIEST_SHARE = 0.05
"""Of the traffic, that a mixture leaves to the client without bursts."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Excess:
    """Dispersion with the rate taken out, by window.

    Args:
        widths_s: of the windows [n].
        dispersion: mean square off the expected count, over the expected count [n].
        weight: what the square of the modulation is multiplied by: expected count of a request's window [n].
        error: standard error of the dispersion of Poisson counts [n].
    """

    widths_s: FloatArray
    dispersion: FloatArray
    weight: FloatArray
    error: FloatArray

    def allows(self, c: float) -> bool:
        """Return whether gaps alone, of dispersion c, explain every window."""
        return bool((np.abs(self.dispersion - c) <= c * (SIGMAS * self.error + SLACK)).all())


def excess_of(
    trace: Trace, rate: SteppedRate, holes: Sequence[Hole], *, start_week_s: float
) -> Excess:
    """Return a trace's dispersion around its rate."""
    rows = []
    for width_s in WIDTHS_S:
        if width_s > rate.step_s / 2:
            continue
        seen = windows(trace.arrival_ticks, trace.span_s, width_s, holes)
        middle_s = seen.t_s + width_s / 2
        expected = rate.per_s(middle_s, start_week_s=start_week_s) * width_s
        n = len(expected)
        if n < FEWEST_WINDOWS or expected.mean() < FEWEST_PER_WINDOW:
            continue
        # The rate of a step was taken from these very windows: each step costs one of them.
        step = rate.steps_at(middle_s, start_week_s=start_week_s)
        in_step = np.bincount(step, minlength=len(rate.rates_per_s))[step]
        free = expected @ (1 - 1 / in_step)
        if free <= 0:
            continue
        squares = float(np.square(seen.counts - expected).sum())
        error = math.sqrt(2 * float(expected @ expected) + expected.sum()) / expected.sum()
        rows.append((width_s, squares / free, float(expected @ expected) / free, error))
    columns = np.array(rows, float).reshape(-1, 4).T
    return Excess(*columns)


def renewal_of(c: float, trace: Trace, rate: SteppedRate, *, start_week_s: float) -> Renewal:
    """Return the gaps of a dispersion, of the kind that is nearer to the gaps of the trace (KS)."""
    cv = min(max(math.sqrt(c), LEAST_CV), MOST_CV)
    if abs(c - 1) <= SLACK:
        return Renewal()
    cv = float(f"{cv:.4g}")
    t_s = trace.arrival_ticks[: 1 << 17] / TICKS_PER_S
    gaps = np.diff(t_s) * rate.per_s(t_s[1:], start_week_s=start_week_s)
    if not gaps.any():
        return Renewal("gamma", cv)
    gaps /= gaps.mean()
    gamma, weibull = Renewal("gamma", cv).shape, Renewal("weibull", cv).shape
    off = {
        "gamma": stats.kstest(gaps, stats.gamma(gamma, scale=1 / gamma).cdf).statistic,
        "weibull": stats.kstest(
            gaps, stats.weibull_min(weibull, scale=1 / math.gamma(1 + 1 / weibull)).cdf
        ).statistic,
    }
    return Renewal(min(off, key=lambda kind: float(off[kind])), cv)


@dataclass(frozen=True, slots=True)
class Modulation:
    """Gaps of dispersion c, and bursts of these variances and relaxation times.

    Args:
        c: of the gaps, > 0.
        variances: of the multiplier of the whole rate [n].
        relaxations_s: [n].
        off: largest relative distance from the dispersion at a window.
    """

    c: float
    variances: tuple[float, ...]
    relaxations_s: tuple[float, ...]
    off: float


def one_modulation(excess: Excess) -> Modulation:
    """Return the gaps and the one burst process that come nearest at all windows."""
    found = [_solved(excess, np.array([relaxation_s])) for relaxation_s in _relaxations_s(excess)]
    return min(found, key=lambda one: one.off)


def many_modulations(excess: Excess) -> Modulation:
    """Return the gaps and the burst processes, of as few durations as it takes (non-negative least squares)."""
    return _solved(excess, _relaxations_s(excess))


def _relaxations_s(excess: Excess) -> FloatArray:
    widest_s = float(excess.widths_s.max())
    return np.geomspace(0.5, 10 * widest_s, 24)


def _solved(excess: Excess, relaxations_s: FloatArray) -> Modulation:
    kept = held_fraction(excess.widths_s[:, None] / relaxations_s[None, :])
    columns = np.column_stack([np.ones(len(excess.widths_s)), kept * excess.weight[:, None]])
    columns /= excess.dispersion[:, None]
    found, _ = optimize.nnls(columns, np.ones(len(columns)))
    off = float(np.abs(columns @ found - 1).max())
    used = found[1:] > 1e-9
    return Modulation(
        max(float(found[0]), LEAST_CV**2),
        tuple(found[1:][used].tolist()),
        tuple(relaxations_s[used].tolist()),
        off,
    )


def on_off_of(variance: float, relaxation_s: float, on_fraction: float) -> OnOff | None:
    """Return the bursts with a variance of the multiplier, None where so long bursts cannot have it.

    >>> made = on_off_of(4.0, 30.0, 0.1)
    >>> round(made.variance, 6), round(made.relaxation_s, 6), round(made.on_fraction, 6)
    (4.0, 30.0, 0.1)
    """
    apart = math.sqrt(variance / (on_fraction * (1 - on_fraction)))
    if apart * on_fraction > 1 + 1e-9:
        return None
    silent = 1 - apart * on_fraction
    ratio = math.inf if silent <= 1e-9 else (1 + apart * (1 - on_fraction)) / silent
    if ratio <= 1:
        return None
    return OnOff(relaxation_s / (1 - on_fraction), relaxation_s / on_fraction, ratio)


def single(made: Modulation, gaps: Renewal, on_fraction: float) -> Bursts | None:
    """Return all traffic in bursts of one kind, None where that cannot be."""
    on_off = on_off_of(made.variances[0], made.relaxations_s[0], on_fraction)
    return None if on_off is None else Bursts(gaps, on_off)


def mixture(made: Modulation, on_fraction: float) -> tuple[Client, ...]:
    """Return a steady client, and one for each kind of bursts that sends nothing outside of them.

    A client of share p whose multiplier has variance v adds p^2 v to that of all.
    """
    deviations = np.sqrt(made.variances)
    most = (1 - STEADIEST_SHARE) / float(deviations.sum())
    odds = min(on_fraction / (1 - on_fraction), most**2)
    shares = deviations * math.sqrt(odds)
    on_fraction = odds / (1 + odds)
    steady = 1 - float(shares.sum())
    c = min(max((made.c - float(shares.sum())) / steady, LEAST_CV**2), MOST_CV**2)
    gaps = Renewal() if abs(c - 1) <= SLACK else Renewal("gamma", float(f"{math.sqrt(c):.4g}"))
    bursty = []
    for share, relaxation_s in zip(shares.tolist(), made.relaxations_s, strict=True):
        on_off = OnOff(relaxation_s / (1 - on_fraction), relaxation_s / on_fraction, math.inf)
        if share > 1e-6:
            bursty.append(Client(share, Bursts(Renewal(), on_off)))
    bursty.sort(key=lambda client: -client.share_fraction)
    rest = 1 - math.fsum(client.share_fraction for client in bursty)
    return (Client(rest, Bursts(gaps)), *bursty)
