"""What would change the answer: against what can be worked out by hand, and asked again at the value told."""

from __future__ import annotations

from functools import cache

import pytest
from test_recommendation import CHUNK, PROMISE, SCALER, TARIFF, file_of, half_an_hour

from planner.bench import Bench
from planner.experiment import Experiment
from planner.jury import Jury
from planner.knobs import Knob, knobs_of
from planner.objective import Objective
from planner.offer import make_offer
from planner.recommendation import Recommendation, recommend
from planner.sensitivity import BISECTIONS, CHEAPER, FAILS, Sensitivity
from simulations.outcome import Limit
from simulations.scenario import Admission, Client, Overflow, Scenario, Service
from simulations.trace import Trace
from simulations.traffic import Bootstrap, Change, Futures

SERVICE = Service(0.02, prefill_s=2e-5, max_sequences=4, per_chunk=True)
OFFER = make_offer("ml.own.model", chunk_tokens_per_s=CHUNK, service=SERVICE, tariff=TARIFF)
ALONE_S = 0.02 + 500 * 2e-5
"""To the first token of a request that is alone: one iteration with its whole prompt."""


@cache
def of_half_an_hour() -> Recommendation:
    return recommend(
        half_an_hour(), OFFER, PROMISE, autoscaler=SCALER, futures=9, grow_until_fails=True
    )


@cache
def of_lone_requests() -> dict[str, Sensitivity]:
    """Return the sensitivity where every request is alone, so that times are what they are by hand."""
    trace = Trace.build([60.0 * k for k in range(120)], [500] * 120, [100] * 120, span_s=120 * 60.0)
    promise = Objective((Limit("ttft", 95, 1.1 * ALONE_S),), 0.01)
    made = recommend(trace, OFFER, promise, autoscaler=SCALER, futures=3)
    assert (made.chosen.min_chunks, made.chosen.max_chunks) == (1, 1)
    return {row.parameter: row for row in made.sensitivities}


def step_of(knob: Knob, end: float) -> float:
    """Return the factor to which a flip is found."""
    return (max(end, knob.value) / min(end, knob.value)) ** (1 / 2**BISECTIONS)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("service times", 1.1),
        ("service.prefill_s", (1.1 * ALONE_S - 0.02) / (500 * 2e-5)),
    ],
)
def test_a_lone_request_fails_where_its_time_says(parameter, expected):
    row = of_lone_requests()[parameter]
    assert row.above is not None
    assert row.above.becomes == FAILS
    assert row.value is not None
    step = (row.high / row.value) ** (1 / 2**BISECTIONS)
    assert expected / step * (1 - 1e-9) <= row.above.at <= expected
    assert row.below is None


@pytest.mark.parametrize(
    "parameter", ["growth", "output_factor", "autoscaler.start_delay_s", "autoscaler.down_window_s"]
)
def test_what_a_lone_request_does_not_meet_changes_nothing(parameter):
    row = of_lone_requests()[parameter]
    assert (row.below, row.above) == (None, None)
    if parameter.startswith("autoscaler."):
        assert row.effect == pytest.approx(0.0, abs=1e-12)


def test_times_of_the_server_have_the_largest_effect_on_lone_requests():
    rows = of_lone_requests()
    effects = {name: row.effect for name, row in rows.items() if row.effect is not None}
    assert max(effects, key=effects.__getitem__) in ("service times", "service.prefill_s")


def experiment_of(made: Recommendation) -> Experiment:
    base = Scenario(
        service=OFFER.service,
        capacity=OFFER.step,
        autoscaler=SCALER,
        admission=Admission(),
        client=Client(),
        overflow=Overflow(),
        shape=OFFER.shape,
        seed=0,
    )
    futures = Futures(Bootstrap(made.trace), Change(), 0)
    return Experiment(futures, OFFER, base, PROMISE, None)


def test_at_the_value_told_the_range_still_holds_and_a_step_further_it_fails():
    made = of_half_an_hour()
    experiment = experiment_of(made)
    jury = Jury.of(made.evidence, Bench(experiment, made.n_futures).allowed)
    size = (made.chosen.min_chunks, made.chosen.max_chunks)
    rows = {row.parameter: row for row in made.sensitivities}
    asked = 0
    for knob in knobs_of(experiment):
        row = rows[knob.name]
        assert row.futures == len(jury.futures)
        for flip, end in ((row.below, knob.low), (row.above, knob.high)):
            if flip is None or flip.becomes != FAILS or knob.whole is not None:
                continue
            step = step_of(knob, end)
            beyond = flip.at * step if end > knob.value else flip.at / step
            assert jury.holds(knob.turn(experiment, flip.at), size)
            assert not jury.holds(knob.turn(experiment, beyond), size)
            asked += 1
    assert asked >= 2


def test_more_load_only_breaks_a_promise_and_less_only_makes_it_cheaper():
    made = of_half_an_hour()
    sides = {knob.name: knob.eases for knob in knobs_of(experiment_of(made))}
    for row in made.sensitivities:
        easy = sides.get(row.parameter)
        if easy is not None:
            flips = {"below": row.below, "above": row.above}
            hard = "above" if easy == "below" else "below"
            assert flips[easy] is None or flips[easy].becomes == CHEAPER
            assert flips[hard] is None or flips[hard].becomes == FAILS


def test_growth_is_survived_as_far_as_the_sensitivity_says():
    made = of_half_an_hour()
    (growth,) = (row for row in made.sensitivities if row.parameter == "growth")
    survival = made.survival
    assert survival is not None
    assert growth.above is not None
    step = 2 ** (1 / 2**BISECTIONS)
    assert growth.above.at / step / 1.01 <= survival.growth <= growth.above.at * step * 1.01


def test_the_file_ranks_what_flips_first_and_says_on_how_many_futures():
    rows = file_of(of_half_an_hour())["sensitivity"]
    assert isinstance(rows, list)
    flipping = [row["flips_below"] is not None or row["flips_above"] is not None for row in rows]
    assert any(flipping)
    assert flipping == sorted(flipping, reverse=True)
    for row in rows:
        assert row.keys() >= {"parameter", "low", "high", "flips_at"}
        assert row["futures"] >= 1
        if row["flips_at"] is not None:
            assert row["low"] <= row["flips_at"] <= row["high"]
