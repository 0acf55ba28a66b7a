"""A description fitted to a trace: its rate, its bursts, its lengths, each by the file that knows how.

The burst process is the simplest that explains the dispersion at every window: Poisson, other gaps, gaps
with bursts, a mixture of clients. What dispersion leaves open is chosen by the peaks of what is then generated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from simulations.errors import TraceError
from simulations.statistics import WINDOWS_S, Hole, find_holes
from simulations.trace import IntArray, Trace
from simulations.traffic import arrivals, fit_bursts
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client
from simulations.traffic.description import Description
from simulations.traffic.fit_lengths import cached_fraction, fit_lengths, rank_correlation
from simulations.traffic.fit_rate import fit_rate, in_lines
from simulations.traffic.stepped import SteppedRate
from simulations.traffic.windows import gaps_cv, windows

FEWEST_REQUESTS = 100
SHORTEST_S = 60.0

SIMPLER = 1.25
"""A mixture of clients must be so many times nearer to the peaks than one kind of bursts."""

TRIALS = 3
MOST_TRIED_REQUESTS = 20_000_000
"""Requests drawn to choose by peaks, all trials together, about."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What was fitted.

    Args:
        description: generates traffic like the trace's, as long as the trace.
        rate_words, burst_words: which rate and which burst process, in words.
        holes: of the recording, which were left out.
    """

    description: Description
    rate_words: str
    burst_words: str
    holes: tuple[Hole, ...]


def fit(trace: Trace, *, name: str = "fitted") -> Fit:
    """Return a description fitted to a trace.

    Raises:
        TraceError: the trace is too short to say anything.

    >>> from simulations.traffic import LogNormal, SeasonalRate, generate
    >>> lengths = LogNormal(500, 1.0)
    >>> fit(generate(Description(3600.0, SeasonalRate(5.0), lengths, lengths))).burst_words
    'Poisson'
    """
    holes = find_holes(trace)
    recorded_s = trace.span_s - math.fsum(hole.length_s for hole in holes)
    if len(trace) < FEWEST_REQUESTS or recorded_s < SHORTEST_S:
        raise TraceError(
            f"the trace has {len(trace)} requests in {recorded_s:.6g} s; a fit takes at least "
            f"{FEWEST_REQUESTS} in {SHORTEST_S:g} s"
        )
    start = None
    if trace.epoch_ns is not None:
        start = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=trace.epoch_ns // 1000)
    rate, rate_words = fit_rate(trace, holes, start)
    plain = Description(
        duration_s=max(1.0, trace.span_s),
        rate=rate,
        input=fit_lengths(trace.input_tokens, least=1),
        output=fit_lengths(trace.output_tokens, least=0),
        cached_fraction=float(f"{min(cached_fraction(trace), 0.999999):.6g}"),
        rank_correlation=float(f"{rank_correlation(trace) or 0.0:.4g}"),
        start=start,
        name=name,
    )
    described, words = _with_bursts(plain, rate, trace, holes)
    return Fit(described, rate_words, words, holes)


def _with_bursts(
    plain: Description, rate: SteppedRate, trace: Trace, holes: tuple[Hole, ...]
) -> tuple[Description, str]:
    """Return a description with the simplest burst process that will do, and its name."""
    start_week_s = plain.start_week_s
    excess = fit_bursts.excess_of(trace, rate, holes, start_week_s=start_week_s)
    lines = in_lines(rate)
    if lines is not None:
        # A rate that goes up and down in steps looks like bursts, one in lines less so; a jump, the other way.
        along = fit_bursts.excess_of(trace, lines, holes, start_week_s=start_week_s)
        if along.dispersion.sum() < excess.dispersion.sum():
            rate, excess = lines, along
    plain = replace(plain, rate=rate)
    if not len(excess.widths_s) or excess.allows(np.ones(len(excess.widths_s))):
        return plain, "Poisson"
    gaps = fit_bursts.renewal_that_fits(excess)
    if gaps is not None:
        return replace(plain, bursts=Bursts(gaps)), f"{gaps.gaps.title()} gaps"
    tried = list(_bursty(plain, excess))
    measured = _unevenness(trace.arrival_ticks, trace.span_s, holes)
    n_trials = max(1, min(TRIALS, MOST_TRIED_REQUESTS // (len(trace) * len(tried))))
    offs = [_off(one, measured, n_trials) * (SIMPLER if one.clients else 1.0) for one, _ in tried]
    return tried[int(np.argmin(offs))]


def _bursty(plain: Description, excess: fit_bursts.Excess) -> Iterator[tuple[Description, str]]:
    """Yield descriptions whose dispersion is the trace's, and their names."""
    one = fit_bursts.one_modulation(excess)
    if one.variances and one.off <= fit_bursts.GOOD_ENOUGH:
        gaps = fit_bursts.gaps_of(one.c)
        for on_fraction in fit_bursts.ON_FRACTIONS:
            bursts = fit_bursts.single(one, gaps, on_fraction)
            if bursts is not None:
                yield replace(plain, bursts=bursts), _single_words(bursts)
    many = fit_bursts.many_modulations(excess)
    if many.variances:
        for on_fraction in fit_bursts.ON_FRACTIONS:
            clients = fit_bursts.mixture(many, on_fraction)
            yield replace(plain, clients=clients), _mixture_words(clients)
    else:
        yield replace(plain, bursts=Bursts(fit_bursts.gaps_of(many.c))), "Gamma gaps"


def _single_words(bursts: Bursts) -> str:
    assert bursts.on_off is not None
    on_off = bursts.on_off
    gaps = "" if bursts.gaps.gaps == "poisson" else f", {bursts.gaps.gaps.title()} gaps within"
    return (
        f"bursts of {on_off.on_mean_s:.3g} s every {on_off.on_mean_s + on_off.off_mean_s:.3g} s, "
        f"at {on_off.on_factor:.3g} times the mean rate{gaps}"
    )


def _mixture_words(clients: tuple[Client, ...]) -> str:
    steady, *bursty = clients
    return (
        f"a steady client with {steady.share_fraction:.0%} of requests, and {len(bursty)} that "
        + ("sends" if len(bursty) == 1 else "send")
        + " in bursts"
    ).replace("%", " %")


def _unevenness(
    arrival_ticks: IntArray, span_s: float, holes: tuple[Hole, ...]
) -> list[float | None]:
    """Return dispersion and peak-to-mean at each window, and the CV of the gaps."""
    counted = [windows(arrival_ticks, span_s, width_s, holes) for width_s in WINDOWS_S.values()]
    dispersion = [one.dispersion for one in counted]
    return [*dispersion, *(one.peak_to_mean for one in counted), gaps_cv(arrival_ticks, holes)]


def _off(description: Description, measured: list[float | None], n_trials: int) -> float:
    """Return how far generated arrivals are from what was measured, in logarithms added up."""
    logs = []
    for replication in range(n_trials):
        ticks = arrivals.draw(description, replication=replication).ticks
        made = _unevenness(ticks, description.duration_s, ())
        logs.append(
            [
                math.log(max(ours or 0.0, 1e-6) / theirs) if theirs else 0.0
                for ours, theirs in zip(made, measured, strict=True)
            ]
        )
    return float(np.abs(np.median(logs, axis=0)).sum())
