"""The question turned round: what a budget can promise, and how much growth a range survives."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_recommendation import PROMISE, SCALER, half_an_hour, offer_of_chunks

from planner.inverse import GROWTH_STEP, Attainable
from planner.offer import Tariff
from planner.quantities import parse_budget
from planner.recommendation import Recommendation, recommend
from simulations.cost import HOURS_PER_MONTH
from simulations.errors import InputError, ObjectiveError
from simulations.traffic import Change

FUTURES = 9
ONE_CHUNK_USD = 4.0 * HOURS_PER_MONTH


@cache
def recommended(**more) -> Recommendation:
    given = {"autoscaler": SCALER, "futures": FUTURES, "sensitivity": False}
    return recommend(half_an_hour(), offer_of_chunks(), PROMISE, **given, **more)


def best_of(budget_usd_per_month: float) -> Attainable:
    best = recommended(budget_usd_per_month=budget_usd_per_month).attainable
    assert best is not None
    return best


# --- a budget ------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(chunks=st.floats(1, 6))
def test_the_best_of_a_budget_costs_no_more_than_it(chunks):
    best = best_of(chunks * ONE_CHUNK_USD)
    assert best.usd_per_month <= chunks * ONE_CHUNK_USD * (1 + 1e-9)


def test_what_the_answer_costs_is_enough_to_keep_the_promise_and_less_is_not():
    made = recommended()
    answer = made.evidence.spreads()["usd_per_month"].value
    enough = best_of(1.05 * answer)
    assert enough.holds
    assert enough.successes >= FUTURES - 1
    assert not best_of(ONE_CHUNK_USD).holds


def test_more_money_promises_no_more_seconds():
    promised = [best_of(chunks * ONE_CHUNK_USD).promises["ttft_p95_s"] for chunks in (1, 2, 3, 5)]
    seconds = [float("inf") if value is None else value for value in promised]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[-1] < seconds[0]


def test_what_is_promised_holds_when_it_is_asked_for():
    best = best_of(2 * ONE_CHUNK_USD)
    promised = best.promises["ttft_p95_s"]
    refused = best.promises["max_refused_fraction"]
    assert promised is not None
    assert refused is not None
    (limit,) = PROMISE.limits
    asked = replace(
        PROMISE,
        limits=(replace(limit, seconds=promised * (1 + 1e-9)),),
        max_refused_fraction=min(1.0, refused + 1e-9),
    )
    made = recommend(
        half_an_hour(),
        offer_of_chunks(),
        asked,
        autoscaler=SCALER,
        futures=FUTURES,
        sensitivity=False,
    )
    assert made.feasible
    cost = made.evidence.spreads()["usd_per_month"].value
    assert cost is not None
    assert cost <= 2 * ONE_CHUNK_USD * 1.02


@pytest.mark.parametrize(
    ("tariff", "budget", "complaint"),
    [
        (Tariff(usd_per_chunk_hour=4.0), 0.99 * ONE_CHUNK_USD, "less than one chunk"),
        (Tariff(usd_per_chunk_hour=4.0), 0.0, "above 0"),
        (Tariff(usd_per_chunk_hour=4.0), float("nan"), "above 0"),
        (Tariff(), 5000.0, "--usd-per-chunk-hour"),
    ],
)
def test_a_budget_that_pays_for_nothing_is_refused_before_anything_is_simulated(
    tariff, budget, complaint
):
    tried = []
    with pytest.raises(ObjectiveError, match=complaint):
        recommend(
            half_an_hour(),
            offer_of_chunks(tariff=tariff),
            budget_usd_per_month=budget,
            progress=lambda *told: tried.append(told),
        )
    assert not tried


@pytest.mark.parametrize("text", ["5000usd/month", "5000 USD/month", "5,000usd/month", "5000"])
def test_budgets_are_read_as_people_write_them(text):
    assert parse_budget(text) == 5000.0


@pytest.mark.parametrize("text", ["", "much", "5000eur/month", "-1usd/month", "inf", "nan"])
def test_what_is_no_budget_is_refused_by_name(text):
    with pytest.raises(InputError, match="--budget"):
        parse_budget(text)


# --- growth --------------------------------------------------------------------------------------


def test_a_range_keeps_the_promise_up_to_what_it_survives_and_fails_beyond():
    made = recommended(grow_until_fails=True)
    survival = made.survival
    assert survival is not None
    assert survival.fails_at is not None
    assert 1 <= survival.growth < survival.fails_at <= survival.growth * (1 + GROWTH_STEP) + 1e-9
    assert survival.limit in ("ttft_p95_s", "max_refused_fraction")

    def chunks_that_keep(growth: float) -> float:
        grown = recommend(
            half_an_hour(),
            offer_of_chunks(),
            PROMISE,
            autoscaler=SCALER,
            futures=FUTURES,
            sensitivity=False,
            change=Change(growth=growth),
        )
        return grown.chosen.max_chunks if grown.feasible else float("inf")

    assert chunks_that_keep(1.5 * survival.fails_at) > made.chosen.max_chunks
