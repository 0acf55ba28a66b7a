"""From how much traffic on provisioned capacity is the cheaper way: against what can be worked out by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_recommendation import PROMISE, SCALER, TARIFF, file_of, half_an_hour, offer_of_chunks

from planner.break_even import VOLUMES, Volume, crossing
from planner.offer import Tariff
from planner.recommendation import Recommendation, recommend
from simulations.cost import HOURS_PER_MONTH

HOUR_USD = 4.0


@cache
def advised(tariff: Tariff = TARIFF) -> Recommendation:
    return recommend(
        half_an_hour(), offer_of_chunks(tariff=tariff), PROMISE, autoscaler=SCALER, futures=5
    )


def row(volume: float, provisioned_usd: float | None, by_token_usd: float) -> Volume:
    return Volume(volume, 100 * volume, (1, 1), provisioned_usd, by_token_usd)


def test_paying_by_the_token_goes_with_the_volume_and_is_what_the_tokens_cost():
    trace = half_an_hour()
    hourly = (500 * 0.5 + 100 * 1.5) * len(trace) / 1e6 / (1800 / 3600)
    rows = advised().volumes
    assert [row.volume for row in rows] == list(VOLUMES)
    for one in rows:
        expected = hourly * HOURS_PER_MONTH * one.volume
        assert one.pay_per_token_usd_per_month == pytest.approx(expected)
        assert one.tokens_per_s == pytest.approx(600 * len(trace) / 1800 * one.volume)


def test_more_traffic_never_needs_less_capacity_and_one_chunk_is_the_least():
    costs = [row.usd_per_month for row in advised().volumes]
    assert None not in costs
    assert costs[0] == pytest.approx(HOUR_USD * HOURS_PER_MONTH)
    assert all(later > 0.95 * earlier for earlier, later in itertools.pairwise(costs))
    assert costs[-1] > 2 * costs[0]


def test_at_its_own_volume_stands_the_answer():
    made = advised()
    (own,) = (row for row in made.volumes if row.volume == 1.0)
    assert own.capacity == (made.chosen.min_chunks, made.chosen.max_chunks)
    assert own.usd_per_month == made.evidence.spreads()["usd_per_month"].value


def test_dear_tokens_are_never_cheaper_and_cheap_ones_always():
    dear = replace(TARIFF, input_price=5000.0, output_price=15000.0)
    cheap = replace(TARIFF, input_price=0.001, output_price=0.001)
    assert crossing(advised(dear).volumes) == VOLUMES[0]
    assert crossing(advised(cheap).volumes) is None


def test_without_a_price_of_tokens_nothing_is_said():
    made = advised(Tariff(usd_per_chunk_hour=HOUR_USD))
    data = file_of(made)
    assert data["break_even"] == []
    assert data["break_even_from_volume"] is None


@given(st.floats(1 / 8, 3.9), st.floats(1.0, 1e6))
def test_a_range_that_stays_breaks_even_where_its_tokens_cost_as_much(volume, usd):
    rows = [row(v, usd, usd * v / volume) for v in VOLUMES]
    found = crossing(rows)
    assert found == pytest.approx(volume, rel=1e-9)


def test_what_was_not_found_is_left_out_of_the_line():
    rows = [row(1 / 2, 100.0, 50.0), row(1.0, None, 100.0), row(2.0, 100.0, 200.0)]
    assert crossing(rows) == pytest.approx(1.0)
    assert crossing([row(1.0, None, 1.0)]) is None
    assert crossing([]) is None
