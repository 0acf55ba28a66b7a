"""What would change the answer: each assumed number, turned to where the recommended range no longer holds
or a cheaper one would do; and which of them act together (Morris's screen, by SALib).

Verdicts are asked of the futures that decide them (`jury`), so a turn costs a run or two.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Any

import numpy as np

from planner.experiment import Experiment, Range
from planner.jury import Jury
from planner.knobs import Knob, Side, knobs_of, other_choices
from simulations.errors import PtplanError
from simulations.sweeps import Mapper

UNSCREENED = (None, None)
FAILS, CHEAPER = "fails", "cheaper"

BISECTIONS = 5
"""Steps from an end of a range to the value at which the answer flips: to a few percent of most ranges."""

REQUESTS_FOR_FLIPS = 60_000_000
REQUESTS_FOR_SCREEN = 20_000_000
"""Simulated requests that may be spent (assumed: some seconds each)."""

MOST_TRAJECTORIES = 6
LEVELS = 4
"""Of Morris's screen: usual values (Morris 1991, Technometrics 33)."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A value beyond which the answer is another one.

    Args:
        at: the value: the last one tried at which the range holds, or the first at which the cheaper one does.
        becomes: `fails` (the recommended range breaks the promise) or `cheaper` (the next cheaper one keeps it).
        text: the value in words.
    """

    at: float
    becomes: str
    text: str


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What one assumed number does to the answer.

    Args:
        parameter, phrase: its name, and what it is in words.
        value, low, high: what was assumed, and between which it was varied; None where it is a choice of two.
        below, above: where the answer flips, in either direction; None where it stands.
        effect: mean absolute effect on the share of requests within the promise, over the whole range (mu* of
            Morris), None where it was not screened.
        interaction: its standard deviation: large beside the effect where it acts through others.
        sentence: what to know of it.
        futures: on how many of those that decide it was asked.
    """

    parameter: str
    phrase: str
    value: float | None
    low: float | None
    high: float | None
    below: Flip | None
    above: Flip | None
    effect: float | None
    interaction: float | None
    sentence: str
    futures: int

    @property
    def distance(self) -> float:
        """How far the nearest flip is, as the logarithm of a factor; infinite where there is none."""
        flips = [flip for flip in (self.below, self.above) if flip is not None]
        if not flips or not self.value:
            return 0.0 if self.value is None and flips else math.inf
        return min(abs(math.log(max(flip.at, 1e-12) / self.value)) for flip in flips)


def sensitivities(
    experiment: Experiment,
    chosen: Range,
    jury: Jury,
    *,
    cheaper: Range | None = None,
    cheaper_jury: Jury | None = None,
    mapper: Mapper = map,
    seed: int = 0,
    progress: Callable[[], None] | None = None,
) -> list[Sensitivity]:
    """Return what would change the answer, the nearest flip first, then the largest effect.

    Args:
        experiment: what was recommended on.
        chosen: the recommended range, which keeps the promise.
        jury: the futures that decide on it.
        cheaper, cheaper_jury: the next cheaper range, which does not, and the futures that decide on that.
        mapper: runs many at once.
        seed: of the screen's trajectories.
        progress: called before every turn, from any thread; what it raises ends the whole.
    """
    knobs = knobs_of(experiment)
    requests = len(experiment.recorded)
    # Two ends a knob and the bisections of some of them, each a run or two of both ranges.
    few = 4 * len(knobs) * len(jury.futures) * requests > REQUESTS_FOR_FLIPS
    if few:
        jury = replace(jury, futures=jury.futures[-1:])
        cheaper_jury = cheaper_jury and replace(cheaper_jury, futures=cheaper_jury.futures[-1:])

    def fails(turned: Experiment) -> bool:
        if progress:
            progress()
        try:
            return not jury.holds(turned, chosen)
        except PtplanError:
            return True  # an endpoint that cannot be simulated keeps no promise

    def cheaper_holds(turned: Experiment) -> bool:
        if progress:
            progress()
        try:
            return bool(cheaper and cheaper_jury and cheaper_jury.holds(turned, cheaper))
        except PtplanError:
            return False

    def is_cheaper(turned: Experiment) -> bool:
        # The cheaper range fails more often, and a run that fails is a short one.
        return cheaper_holds(turned) and not fails(turned)

    becoming = {FAILS: fails, CHEAPER: is_cheaper}

    def becomes(turned: Experiment, asked: Sequence[str] = (FAILS, CHEAPER)) -> str | None:
        return next((change for change in asked if becoming[change](turned)), None)

    def flips_of(knob: Knob) -> tuple[Flip | None, Flip | None]:
        def flip(side: Side) -> Flip | None:
            asked = [
                change
                for change, eased in ((FAILS, False), (CHEAPER, True))
                if knob.eases is None or (knob.eases == side) == eased
            ]
            return _flip(knob, experiment, side, lambda turned: becomes(turned, asked), becoming)

        return flip("below"), flip("above")

    turning = mapper(flips_of, knobs)
    _import_morris()  # two seconds, while the runs go on
    flips = list(turning)
    screened = _screen(experiment, chosen, jury, knobs, mapper, seed, progress)
    rows = [
        Sensitivity(
            knob.name,
            knob.phrase,
            knob.value,
            knob.low,
            knob.high,
            below,
            above,
            screened.get(knob.name, UNSCREENED)[0],
            screened.get(knob.name, UNSCREENED)[1],
            _sentence(knob, below, above),
            len(jury.futures),
        )
        for knob, (below, above) in zip(knobs, flips, strict=True)
    ]
    choices = other_choices(experiment)
    for (name, words, _), change in zip(
        choices, mapper(lambda choice: becomes(choice[2]), choices), strict=True
    ):
        flip = None if change is None else Flip(math.nan, change, words)
        rows.append(
            Sensitivity(
                name,
                words,
                None,
                None,
                None,
                None,
                flip,
                None,
                None,
                _choice(words, change),
                len(jury.futures),
            )
        )
    return sorted(rows, key=lambda row: (row.distance, -(row.effect or 0.0), row.parameter))


def _import_morris() -> tuple[Any, Any]:
    """Return SALib's modules of Morris's screen: the sampling and the analysis."""
    from SALib.analyze import morris as analysis
    from SALib.sample import morris as sampling

    return sampling, analysis


def _flip(
    knob: Knob,
    experiment: Experiment,
    side: Side,
    becomes: Callable[[Experiment], str | None],
    becoming: Mapping[str, Callable[[Experiment], bool]],
) -> Flip | None:
    """Return the value between what is assumed and an end at which the answer flips.

    Told is the last value tried at which the answer is sure: up to there the range holds, from there on the
    cheaper one does.

    Args:
        becomes: what the answer becomes, None where it stands.
        becoming: by what it may become, whether it does.
    """
    end = knob.low if side == "below" else knob.high
    change = becomes(knob.turn(experiment, knob.rounded(end)))
    if change is None:
        return None
    stands, flipped = knob.value, end
    for _ in range(BISECTIONS):
        middle = knob.rounded(math.sqrt(stands * flipped))
        if middle in (knob.rounded(stands), knob.rounded(flipped)):
            break
        if becoming[change](knob.turn(experiment, middle)):
            flipped = middle
        else:
            stands = middle
    at = knob.rounded(stands if change == FAILS else flipped)
    # Rounded to the sure side as well.
    upwards = (side == "below") == (change == FAILS)
    return Flip(at, change, knob.text(_three_digits(at, upwards=upwards)))


def _three_digits(value: float, *, upwards: bool) -> float:
    """Return a value > 0 rounded to three digits, up or down.

    >>> _three_digits(1.9152, upwards=False), _three_digits(0.08973, upwards=True)
    (1.91, 0.0898)
    """
    exact = Decimal(repr(value))
    digits = Context(prec=3, rounding=ROUND_CEILING if upwards else ROUND_FLOOR)
    return float(digits.plus(exact))


def _sentence(knob: Knob, below: Flip | None, above: Flip | None) -> str:
    parts = []
    # The value told is one that was tried: among whole ones it counts.
    least, most = ("at least", "at most") if knob.whole else ("above", "under")
    for flip, side in ((above, most), (below, least)):
        if flip is not None and flip.becomes == FAILS:
            parts.append(f"holds while {knob.phrase} stays {side} {flip.text}")
    for flip, side in ((above, least), (below, most)):
        if flip is not None and flip.becomes == CHEAPER:
            parts.append(f"the next cheaper would do if {knob.phrase} were {side} {flip.text}")
    if parts:
        return "; ".join(parts)
    return (
        f"stands for {knob.phrase} from {knob.text(knob.low)} to {knob.text(knob.high)}"
        if knob.unit != "x"
        else f"stands for {knob.phrase} from {knob.low:g} to {knob.text(knob.high)}"
    )


def _choice(words: str, change: str | None) -> str:
    if change is None:
        return f"stands also if {words}"
    return f"{'fails' if change == FAILS else 'the next cheaper would do'} if {words}"


def _screen(
    experiment: Experiment,
    chosen: Range,
    jury: Jury,
    knobs: Sequence[Knob],
    mapper: Mapper,
    seed: int,
    progress: Callable[[], None] | None,
) -> dict[str, tuple[float, float]]:
    """Return Morris's mu* and sigma by name; nothing where the traffic is too long for it."""
    affordable = REQUESTS_FOR_SCREEN // (len(experiment.recorded) * (len(knobs) + 1))
    trajectories = min(MOST_TRAJECTORIES, affordable)
    if trajectories < 2 or len(knobs) < 2:
        return {}
    sampling, analysis = _import_morris()
    problem = {
        "num_vars": len(knobs),
        "names": [knob.name for knob in knobs],
        # Varied by factors, so half and double weigh alike.
        "bounds": [[math.log(knob.low), math.log(knob.high)] for knob in knobs],
    }
    points = sampling.sample(problem, trajectories, num_levels=LEVELS, seed=seed % 2**32)

    def value(point: np.ndarray) -> float:
        if progress:
            progress()
        turned = experiment
        for knob, place in zip(knobs, point, strict=True):
            turned = knob.turn(turned, knob.rounded(math.exp(float(place))))
        try:
            return jury.margin(turned, chosen)
        except PtplanError:
            return -1.0

    values = np.array(list(mapper(value, points)))
    found = analysis.analyze(problem, points, values, num_levels=LEVELS, seed=seed % 2**32)
    return {
        name: (float(effect), float(sigma))
        for name, effect, sigma in zip(
            found["names"], found["mu_star"], found["sigma"], strict=True
        )
    }
