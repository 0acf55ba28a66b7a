"""How far a server's simulation is from what was measured, as one number to make small.

Each request's time to first token and to its last are compared as logarithms, in units of the error that a good
fit leaves; far ones count linearly, so that a stall of the real server bends nothing. What is expected of each
number beforehand counts as one more measurement of it, with the spread of the published servers: it decides
where the data are silent, and little else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from simulations.errors import ScenarioError
from simulations.fit.measurement import FloatArray, MeasuredLevel, MeasuredRun, Measurement
from simulations.fit.parameters import Candidate, Space, Vector
from simulations.fit.replay import Times, figures, replay, replay_level

NEVER_SERVED = 30.0
"""Units of error for a request that the simulated server refuses and the real one served."""

HOPELESS = 1e12

PHASE_FRACTION = 0.5
"""A request waits for up to one iteration before it is seen; the real server's phase is not the simulated one's."""


class Scales(NamedTuple):
    """Relative errors that a good fit leaves: of requests, and of the figures of a level."""

    e2e: float = 0.01
    ttft: float = 0.05
    level: float = 0.05
    level_ttft: float = 0.2


FIRST_SCALES = Scales()
LEAST = Scales(0.005, 0.05, 0.02, 0.05)
MOST = Scales(0.15, 0.5, 0.3, 0.7)


@dataclass(frozen=True, eq=False)
class Part:
    """A measurement, and which of its requests count.

    Args:
        measurement: a run or a level.
        counts: bool[n] for a run; None for all that it wants compared, and for a level.
    """

    measurement: Measurement
    counts: npt.NDArray[np.bool_] | None = None

    @cached_property
    def run(self) -> MeasuredRun:
        """The measurement, where it is a run."""
        assert isinstance(self.measurement, MeasuredRun)
        return self.measurement

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """Which requests of a run count."""
        wanted = self.run.compared()
        return wanted if self.counts is None else wanted & self.counts

    @cached_property
    def is_ttft(self) -> npt.NDArray[np.bool_]:
        """Which figures of a level are times to first token."""
        assert isinstance(self.measurement, MeasuredLevel)
        return np.array([name.startswith("ttft") for name in self.measurement.figures])

    @cached_property
    def e2e(self) -> Measured:
        """The times to the last token that were measured, of the requests that count."""
        return self._measured(self.run.e2e_s)

    @cached_property
    def ttft(self) -> Measured:
        """The times to the first token likewise."""
        return self._measured(self.run.ttft_s)

    def _measured(self, seconds: FloatArray) -> Measured:
        rows = np.flatnonzero(self.mask & ~np.isnan(seconds))
        tpot = self.run.tpot_s[self.mask]
        tpot = tpot[~np.isnan(tpot)]
        iteration_s = float(np.median(tpot)) if len(tpot) else 0.0
        return Measured(rows, np.log(seconds[rows]), PHASE_FRACTION * iteration_s / seconds[rows])


class Measured(NamedTuple):
    """One kind of time of the requests that count.

    Args:
        rows: int[m], their places in the run.
        log_s: float[m], logarithms of the seconds.
        phase: float[m], what half an iteration is to them, relative.
    """

    rows: npt.NDArray[np.intp]
    log_s: FloatArray
    phase: FloatArray

    def errors(self, simulated_s: FloatArray) -> FloatArray:
        """Return the logarithms of simulated over measured; a request never served is far off."""
        found = np.log(simulated_s[self.rows]) - self.log_s
        return np.where(np.isnan(found), NEVER_SERVED, found)


@dataclass(frozen=True)
class Comparison:
    """What was measured, and how closely it is to be met."""

    parts: tuple[Part, ...]
    scales: Scales = FIRST_SCALES

    @property
    def is_smooth(self) -> bool:
        """Whether there are figures of levels alone, over which single iterations average out."""
        return all(isinstance(part.measurement, MeasuredLevel) for part in self.parts)

    @property
    def n_simulated(self) -> int:
        """Requests that one evaluation simulates, about."""
        total = 0
        for part in self.parts:
            one = part.measurement
            total += (
                len(one) if isinstance(one, MeasuredRun) else 10 * max(40, 6 * (one.users or 40))
            )
        return total

    def cost(self, candidate: Candidate) -> float:
        """Return the misfit of a server, without what was expected of it."""
        try:
            return sum(
                float(_growth(self._part_residuals(part, candidate)).sum()) for part in self.parts
            )
        except ScenarioError:
            return HOPELESS

    def residuals(self, candidate: Candidate) -> Vector:
        """Return all errors of a server in their units.

        Raises:
            ScenarioError: the server would take longer than representable time.
        """
        return np.concatenate([self._part_residuals(part, candidate) for part in self.parts])

    def posterior(self, space: Space) -> Posterior:
        """Return the misfit as a function of a point, with what was expected."""
        return Posterior(self, space, np.zeros(len(space)))

    def rescaled(self, candidate: Candidate) -> Comparison:
        """Return the same comparison with the errors that this server leaves as its units."""
        found: tuple[list[FloatArray], ...] = ([], [], [], [])
        for part in self.parts:
            if isinstance(part.measurement, MeasuredRun):
                times = replay(part.measurement, candidate)
                found[0].append(_beyond_phase(part.e2e.errors(times.e2e_s), part.e2e.phase))
                found[1].append(_beyond_phase(part.ttft.errors(times.ttft_s), part.ttft.phase))
            else:
                errors = level_errors(part.measurement, replay_level(part.measurement, candidate))
                found[2].append(errors[~part.is_ttft])
                found[3].append(errors[part.is_ttft])
        scales = [
            min(max(_spread(errors, low), low), high)
            for errors, low, high in zip(found, LEAST, MOST, strict=True)
        ]
        return replace(self, scales=Scales(*scales))

    def _part_residuals(self, part: Part, candidate: Candidate) -> FloatArray:
        one = part.measurement
        if isinstance(one, MeasuredLevel):
            units = np.where(part.is_ttft, self.scales.level_ttft, self.scales.level)
            return level_errors(one, replay_level(one, candidate)) / units
        times = replay(one, candidate)
        return np.concatenate(
            [
                part.e2e.errors(times.e2e_s) / np.hypot(self.scales.e2e, part.e2e.phase),
                part.ttft.errors(times.ttft_s) / np.hypot(self.scales.ttft, part.ttft.phase),
            ]
        )


@dataclass(frozen=True)
class Posterior:
    """Misfit and expectation together, as a function of a point of a space.

    Args:
        comparison: what was measured.
        space: what is searched for.
        expected: float[d], the middle of what is expected; 0 unless it was drawn anew.
    """

    comparison: Comparison
    space: Space
    expected: Vector

    def __call__(self, x: Vector) -> float:
        """Return what is to be made small."""
        return self.comparison.cost(self.space.candidate(x)) + float(
            ((x - self.expected) ** 2).sum()
        )

    def residuals(self, x: Vector) -> Vector:
        """Return all errors in their units, and how far the point is from what is expected."""
        return np.concatenate(
            [self.comparison.residuals(self.space.candidate(x)), x - self.expected]
        )


def level_errors(level: MeasuredLevel, times: Times) -> FloatArray:
    """Return the logarithms of simulated over measured of a level's figures."""
    simulated = figures(times, level.shape.output_tokens)
    return np.array(
        [
            np.log(simulated[name] / value) if name in simulated else NEVER_SERVED
            for name, value in level.figures.items()
        ]
    )


def _growth(errors: FloatArray) -> FloatArray:
    """Return the square of small errors and twice the size of large ones."""
    growth: FloatArray = 2.0 * (np.sqrt(1.0 + errors**2) - 1.0)
    return growth


def _beyond_phase(errors: FloatArray, phase: FloatArray) -> FloatArray:
    """Return the errors of requests for which one iteration more or less matters little."""
    if len(errors) < 8:
        return errors
    return errors[phase <= max(float(np.quantile(phase, 0.5)), 1e-12)]


def _spread(errors: list[FloatArray], otherwise: float) -> float:
    together = np.concatenate(errors) if errors else np.empty(0)
    if len(together) == 0:
        return otherwise
    return 1.4826 * float(np.median(np.abs(together)))
