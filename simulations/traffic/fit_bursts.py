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
import scipy  # which imports its parts when they are used

from simulations.statistics import Hole
from simulations.trace import Trace
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client
from simulations.traffic.on_off import OnOff, held_fraction
from simulations.traffic.renewal import LEAST_CV, MOST_CV, Renewal
from simulations.traffic.stepped import SteppedRate
from simulations.traffic.streams import Purpose, stream
from simulations.traffic.windows import windows

WIDTHS_S = (1, 10, 60, 300, 1800)
FEWEST_WINDOWS = 8
FEWEST_PER_WINDOW = 0.2
"""Mean requests below which a window says nothing about how they cluster."""

SIGMAS = 4.0
"""How far from a hypothesis dispersion may be by chance, in standard errors."""

SLACK = 0.1
"""And in shares of it, since a rate in steps is not the rate."""

RIPPLE = 0.0005
"""Variance of the multiplier (2 % of the rate) that is the rate's own, since it is known by steps."""

ON_FRACTIONS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5)
"""Shares of time in bursts that are tried; variance and duration leave them open, peaks do not."""

GOOD_ENOUGH = 0.1
"""One kind of bursts will do if it is no further off the dispersion of any window, relative, beyond two errors."""

DRAWN_POINTS = 100_000
"""From which the dispersion of a renewal process is taken: to about 1.5 % in windows of ten."""

MANY_PER_WINDOW = 100

STEADIEST_SHARE = 0.05
"""Of the traffic, that a mixture leaves to the client without bursts."""

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Excess:
    """Dispersion with the rate taken out, by window.

    Args:
        widths_s: of the windows [n].
        dispersion: mean square off the expected count, over the expected count [n].
        weight: what the variance of the modulation is multiplied by: expected count of a request's window [n].
        error: relative standard error of the dispersion of Poisson counts [n].
        counts: mean expected count of a window [n].
    """

    widths_s: FloatArray
    dispersion: FloatArray
    weight: FloatArray
    error: FloatArray
    counts: FloatArray

    def allows(self, dispersion: FloatArray) -> bool:
        """Return whether chance may have made what is seen of this dispersion [n]."""
        apart = np.abs(self.dispersion - dispersion)
        ripple = np.minimum(self.weight * RIPPLE, 1.0)
        return bool((apart <= dispersion * (SIGMAS * self.error + SLACK) + ripple).all())

    def off(self, dispersion: FloatArray) -> float:
        """Return how far this dispersion [n] is off at the worst window, relative, beyond two errors."""
        apart = np.abs(dispersion / self.dispersion - 1) - 2 * self.error
        return max(0.0, float(apart.max()))


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
        left = 1 - 1 / in_step
        free = float(expected @ left)
        squares = float(np.square(seen.counts - expected).sum())
        if free <= 0 or squares <= 0:
            continue
        error = math.sqrt((2 * float(expected @ expected) + expected.sum()) / expected.sum() / free)
        weight = float(np.square(expected) @ left) / free
        rows.append((width_s, squares / free, weight, error, expected.mean()))
    columns = np.array(rows, float).reshape(-1, 5).T
    return Excess(*columns)


def renewal_that_fits(excess: Excess) -> Renewal | None:
    """Return gaps that alone explain every window, None where none do.

    In a window of few requests counts vary less than in one of many, as the gaps allow; so much is
    found by drawing.
    """
    c = float(np.average(excess.dispersion, weights=excess.counts / excess.error**2))
    many = excess.counts >= MANY_PER_WINDOW
    apart = np.abs(excess.dispersion - c)[many]
    if (apart > 2 * c * (SIGMAS * excess.error[many] + SLACK)).any():
        return None  # where requests are many the dispersion of gaps is one number; no need to draw
    found = []
    for scale in np.geomspace(0.7, 1.5, 9).tolist():
        cv = _rounded(min(max(math.sqrt(c) * scale, LEAST_CV), MOST_CV))
        for kind in ("gamma", "weibull"):
            gaps = Renewal(kind, cv)
            dispersion = renewal_dispersion(gaps, excess.counts)
            if excess.allows(dispersion):
                apart = np.log(dispersion / excess.dispersion) / (excess.error + SLACK)
                found.append((float(apart @ apart), gaps))
    return min(found, key=lambda one: one[0])[1] if found else None


def renewal_dispersion(gaps: Renewal, counts: FloatArray) -> FloatArray:
    """Return the dispersion of a renewal process in windows with these mean counts [n], by drawing.

    >>> renewal_dispersion(Renewal(), np.array([5.0])).round(1).tolist()
    [1.0]
    """
    random = stream(0, 0, Purpose.ARRIVALS)
    points = np.concatenate(list(gaps.points(float(DRAWN_POINTS), random)))
    found = []
    for count in counts.tolist():
        if count > DRAWN_POINTS / 100:
            found.append(gaps.cv**2)
            continue
        n = int(DRAWN_POINTS / count)
        drawn = np.bincount((points / count).astype(np.int64), minlength=n)[:n]
        found.append(float(drawn.var(ddof=1) / count))
    return np.array(found)


def gaps_of(c: float) -> Renewal:
    """Return the gaps within bursts of a dispersion: Poisson where that is about 1, else Gamma."""
    if abs(c - 1) <= 2 * SLACK:
        return Renewal()
    return Renewal("gamma", _rounded(min(max(math.sqrt(c), LEAST_CV), MOST_CV)))


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
    """Return the gaps and the one burst process that come nearest at all windows; Poisson if they will do."""
    relaxations_s = [np.array([one_s]) for one_s in _relaxations_s(excess, 96)]
    poisson = min((_solved(excess, one_s, c=1.0) for one_s in relaxations_s), key=_off)
    if poisson.variances and poisson.off <= GOOD_ENOUGH:
        return poisson
    return min((_solved(excess, one_s) for one_s in relaxations_s), key=_off)


def many_modulations(excess: Excess) -> Modulation:
    """Return the gaps and the burst processes, of as few durations as it takes (non-negative least squares)."""
    return _solved(excess, _relaxations_s(excess, 24))


def _off(made: Modulation) -> float:
    return made.off


def _relaxations_s(excess: Excess, n: int) -> FloatArray:
    return np.geomspace(0.5, 10 * float(excess.widths_s.max()), n)


def _solved(excess: Excess, relaxations_s: FloatArray, *, c: float | None = None) -> Modulation:
    """Return the variances that come nearest to the dispersion, and c where it is not given."""
    kept = held_fraction(excess.widths_s[:, None] / relaxations_s[None, :])
    columns = kept * excess.weight[:, None]
    target = excess.dispersion.copy()
    if c is None:
        columns = np.column_stack([np.ones(len(target)), columns])
    else:
        target = np.maximum(target - c, 0)
    scale = excess.dispersion * (excess.error + SLACK)
    found, _ = scipy.optimize.nnls(columns / scale[:, None], target / scale)
    made = columns @ found
    if c is None:
        c, found = max(float(found[0]), LEAST_CV**2), found[1:]
    else:
        made += c
    used = found > 1e-9
    return Modulation(
        c, tuple(found[used].tolist()), tuple(relaxations_s[used].tolist()), excess.off(made)
    )


def on_off_of(variance: float, relaxation_s: float, on_fraction: float) -> OnOff | None:
    """Return the bursts with a variance of the multiplier, None where so long bursts cannot have it.

    >>> made = on_off_of(4.0, 30.0, 0.1)
    >>> round(made.variance, 3), round(made.relaxation_s, 3), round(made.on_fraction, 3)
    (4.0, 30.0, 0.1)
    """
    apart = math.sqrt(variance / (on_fraction * (1 - on_fraction)))
    if apart * on_fraction > 1 + 1e-9:
        return None
    silent = 1 - apart * on_fraction
    ratio = math.inf if silent <= 1e-9 else (1 + apart * (1 - on_fraction)) / silent
    if ratio <= 1:
        return None
    return OnOff(
        _rounded(relaxation_s / (1 - on_fraction)),
        _rounded(relaxation_s / on_fraction),
        ratio if math.isinf(ratio) else max(_rounded(ratio), 1.000001),
    )


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
    shares = np.array([_rounded(share) for share in (deviations * math.sqrt(odds)).tolist()])
    on_fraction = odds / (1 + odds)
    steady = 1 - float(shares.sum())
    c = min(max((made.c - float(shares.sum())) / steady, LEAST_CV**2), MOST_CV**2)
    gaps = gaps_of(c)
    bursty = []
    for share, relaxation_s in zip(shares.tolist(), made.relaxations_s, strict=True):
        on_off = OnOff(
            _rounded(relaxation_s / (1 - on_fraction)),
            _rounded(relaxation_s / on_fraction),
            math.inf,
        )
        if share > 1e-6:
            bursty.append(Client(share, Bursts(Renewal(), on_off)))
    bursty.sort(key=lambda client: -client.share_fraction)
    rest = _rounded(1 - math.fsum(client.share_fraction for client in bursty))
    return (Client(rest, Bursts(gaps)), *bursty)


def _rounded(value: float) -> float:
    """Return a value to six digits: what follows says nothing, and a file is read by people."""
    return float(f"{value:.6g}")
