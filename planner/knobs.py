"""The numbers that nobody published or measured, and how far each may be off: what a sensitivity varies.

Each knob turns one of them in an experiment. Ranges are *assumed* unless a source stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from planner.experiment import Experiment
from reports import numbers
from simulations.rating import rate
from simulations.scenario import Scenario
from simulations.traffic import Change

Side = Literal["below", "above"]


@dataclass(frozen=True, slots=True)
class Knob:
    """An assumed number, where it stands and how far it may be off.

    Args:
        name: as in the list of assumptions.
        phrase: what it is, in words that "stays under" and "stays above" follow.
        value: what was assumed, > 0.
        low, high: between which it is varied, > 0.
        unit: `s` (a time), `x` (a factor on what is assumed) or `n` (a number).
        turn: an experiment with another value.
        whole: only whole multiples of this can be set.
        eases: on which side the promise is easier to keep; None where either may be. On that side a cheaper range
            may do, on the other the recommended one may fail; the reverse would be an accident of the draw.
    """

    name: str
    phrase: str
    value: float
    low: float
    high: float
    unit: str
    turn: Callable[[Experiment, float], Experiment]
    whole: float | None = None
    eases: Side | None = None

    def rounded(self, value: float) -> float:
        """Return the nearest value that can be set."""
        if self.whole is None:
            return value
        return max(self.whole, round(value / self.whole) * self.whole)

    def text(self, value: float) -> str:
        """Return a value in words.

        >>> Knob("a", "a", 1, 1, 2, "x", lambda e, v: e).text(1.25)
        '1.25 times what is assumed'
        """
        if self.unit == "s":
            return numbers.duration(value)
        number = numbers.count(float(f"{value:.3g}"))
        return f"{number} times what is assumed" if self.unit == "x" else number


def knobs_of(experiment: Experiment) -> list[Knob]:
    """Return what can be varied in an experiment.

    Source of the start delay's range: public start-up times of 10 s to 8 min (docs/design.md); the rest is
    assumed.
    """
    base, change = experiment.base, experiment.futures.change
    scaler, service, admission = base.autoscaler, base.service, base.admission
    knobs = []
    if not experiment.offer.in_units and scaler.preset != "fixed":
        every = scaler.decide_every_s
        knobs += [
            Knob(
                "autoscaler.start_delay_s",
                "the start of a chunk",
                scaler.start_delay_s,
                10.0,
                480.0,
                "s",
                _autoscaler("start_delay_s"),
                eases="below",
            ),
            Knob(
                "autoscaler.target",
                "the load at which it scales",
                1.0,
                0.5,
                1.5,
                "x",
                _autoscaler("target", scaler.target),
                eases="below",
            ),
            Knob(
                "autoscaler.up_window_s",
                "the window before scaling up",
                scaler.up_window_s,
                every,
                120.0,
                "s",
                _autoscaler("up_window_s"),
                every,
            ),
            Knob(
                "autoscaler.down_window_s",
                "the window before scaling down",
                scaler.down_window_s,
                12 * every,
                1800.0,
                "s",
                _autoscaler("down_window_s"),
                every,
            ),
        ]
    if admission.queue_limit != "none":
        limit = admission.queue_limit or 2 * service.max_sequences
        knobs.append(
            Knob(
                "admission.queue_limit",
                "the queue of a chunk",
                float(limit),
                max(1.0, limit / 4),
                4.0 * limit,
                "n",
                lambda e, v: _based(
                    e, admission=replace(e.base.admission, queue_limit=max(1, round(v)))
                ),
                1.0,
            )
        )
    knobs += [
        Knob(
            "service times",
            "the time of every step of a server",
            1.0,
            0.8,
            1.25,
            "x",
            lambda e, v: _based(e, service=e.base.service.scaled(v)),
            eases="below",
        ),
        Knob(
            "service.prefill_s",
            "the time of a prompt token",
            1.0,
            0.5,
            2.0,
            "x",
            lambda e, v: _based(
                e, service=replace(e.base.service, prefill_s=e.base.service.prefill_s * v)
            ),
            eases="below",
        ),
        Knob(
            "service.max_sequences",
            "the requests that a server works on at once",
            float(service.max_sequences),
            max(1.0, service.max_sequences / 2),
            float(min(service.token_budget, 2 * service.max_sequences)),
            "n",
            lambda e, v: _based(e, service=replace(e.base.service, max_sequences=max(1, round(v)))),
            1.0,
        ),
        Knob(
            "growth",
            "traffic",
            change.growth,
            0.5 * change.growth,
            2.0 * change.growth,
            "n" if change.growth != 1 else "x",
            lambda e, v: _changed(e, growth=v),
            eases="below",
        ),
        Knob(
            "output_factor",
            "the length of answers",
            change.output_factor,
            0.5 * change.output_factor,
            2.0 * change.output_factor,
            "n" if change.output_factor != 1 else "x",
            lambda e, v: _changed(e, output_factor=v),
            eases="below",
        ),
    ]
    if service.kv_tokens is not None:
        kv = service.kv_tokens
        knobs.append(
            Knob(
                "service.kv_tokens",
                "the memory for sequences",
                1.0,
                0.5,
                2.0,
                "x",
                lambda e, v: _based(e, service=replace(e.base.service, kv_tokens=round(kv * v))),
                eases="above",
            )
        )
    return [knob for knob in knobs if knob.low < knob.high]


def other_choices(experiment: Experiment) -> list[tuple[str, str, Experiment]]:
    """Return the assumed rules that are one of two, turned the other way: name, words and the experiment."""
    offer, admission = experiment.offer, experiment.base.admission
    queue: Any = "chunk" if admission.queue_at == "endpoint" else "endpoint"
    choices = [
        (
            "admission.queue_at",
            f"requests wait at the {queue}",
            _based(experiment, admission=replace(admission, queue_at=queue)),
        )
    ]
    if not offer.measured_service.per_chunk:
        share: Any = "time" if offer.share == "slots" else "slots"
        rated = rate(
            offer.measured_service, offer.step.rated_tokens_per_s, shape=offer.shape, share=share
        )
        scaler = replace(experiment.base.autoscaler, target=None)
        turned = _based(experiment, service=rated, autoscaler=scaler).settled()
        choices.append(("share", f"a chunk shares a GPU by {share}", turned))
    return choices


def _based(experiment: Experiment, **given: Any) -> Experiment:
    base: Scenario = replace(experiment.base, **given)
    return replace(experiment, base=base)


def _changed(experiment: Experiment, **given: float) -> Experiment:
    change: Change = replace(experiment.futures.change, **given)
    return replace(experiment, futures=experiment.futures.changed(change))


def _autoscaler(name: str, times: float | None = 1.0) -> Callable[[Experiment, float], Experiment]:
    def turn(experiment: Experiment, value: float) -> Experiment:
        given: dict[str, Any] = {name: value * (times or 1.0)}
        scaler = replace(experiment.base.autoscaler, **given)
        return _based(experiment, autoscaler=scaler)

    return turn
