"""Bills over launches: what counts, how it is rounded, and that no sum wraps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.cost import (
    Bill,
    Price,
    bill,
    billed_chunk_ticks,
    pay_per_token_usd,
    usd_per_hour,
    usd_per_million_tokens,
    usd_per_month,
)
from simulations.errors import CatalogueError
from simulations.ticks import NEVER, TICKS_PER_S

HOUR = 3600 * TICKS_PER_S
YEAR = 365 * 24 * HOUR


def launches(*rows):
    """Return started, ready and released in ticks from rows in seconds; None is never."""
    ticks = [[NEVER if t is None else round(t * TICKS_PER_S) for t in row] for row in rows]
    return tuple(np.array(column, np.int64) for column in zip(*ticks, strict=True))


def billed_s(*rows, horizon_s=100, **kwargs):
    ticks = billed_chunk_ticks(*launches(*rows), horizon_ticks=horizon_s * TICKS_PER_S, **kwargs)
    return ticks / TICKS_PER_S


@pytest.mark.parametrize(
    ("row", "from_ready", "from_start"),
    [
        ((0, 0, None), 100, 100),  # there all the time
        ((10, 30, 60), 30, 50),
        ((10, 30, None), 70, 90),
        ((10, 30, 300), 70, 90),  # released after the horizon
        ((10, 30, 20), 0, 10),  # removed while it was starting
        ((90, 130, None), 0, 10),  # ready after the horizon
        ((130, 140, 150), 0, 0),  # started after it
    ],
)
def test_a_chunk_bills_until_its_release_within_the_horizon(row, from_ready, from_start):
    assert billed_s(row) == from_ready
    assert billed_s(row, bill_from="start") == from_start


def test_each_launch_is_rounded_up_on_its_own_and_nothing_stays_nothing():
    rows = (0, 0, 1.25), (0, 0, 2), (5, 9, 7)
    assert billed_s(*rows, granularity_s=1e-11) == 3.25
    assert billed_s(*rows) == 4
    assert billed_s(*rows, granularity_s=60) == 120
    assert billed_s(*rows, granularity_s=3600) == 7200


def test_no_launches_bill_nothing():
    empty = np.zeros(0, np.int64)
    assert billed_chunk_ticks(empty, empty, empty, horizon_ticks=HOUR) == 0


def test_a_hundred_chunks_for_a_year_are_exact_to_the_tick():
    """3e20 ticks: beyond int64, and beyond what a float64 tells apart."""
    zeros = np.zeros(100, np.int64)
    alive = np.full(100, NEVER)
    exact = billed_chunk_ticks(
        zeros, zeros, alive, horizon_ticks=YEAR + 1, granularity_s=1 / TICKS_PER_S
    )
    assert type(exact) is int
    assert exact == 100 * (YEAR + 1) > 2**63
    assert bill(zeros, zeros, alive, horizon_ticks=YEAR, price=Price()).chunk_hours == 876_000


time = st.integers(0, 20).map(lambda quarter: quarter * TICKS_PER_S // 4)


@given(
    rows=st.lists(st.tuples(time, time, st.one_of(time, st.just(NEVER))), max_size=8),
    horizon=time,
    bill_from=st.sampled_from(["ready", "start"]),
    granularity_s=st.sampled_from([0.25, 0.5, 1.0, 3.0, 3600.0]),
)
def test_the_sum_is_that_of_plain_integers(rows, horizon, bill_from, granularity_s):
    expected = 0
    for started, delay, released in rows:
        begin = started + delay if bill_from == "ready" else started
        ticks = max(0, min(released, horizon) - begin)
        grain = round(granularity_s * TICKS_PER_S)
        expected += (ticks + grain - 1) // grain * grain
    columns = np.array(rows, np.int64).reshape(-1, 3).T
    assert expected == billed_chunk_ticks(
        columns[0],
        columns[0] + columns[1],
        columns[2],
        horizon_ticks=horizon,
        bill_from=bill_from,
        granularity_s=granularity_s,
    )


def test_a_bill_holds_hours_launches_and_what_whole_hours_would_cost():
    arrays = launches((0, 0, None), (100, 200, 920), (7000, 7100, 8000))
    price = Price(10.0, launch_usd=0.07)
    assert bill(*arrays, horizon_ticks=2 * HOUR, price=price) == Bill(
        billed_ticks=(7200 + 720 + 100) * TICKS_PER_S,
        billed_at_1h_ticks=4 * HOUR,
        n_launches=2,
        usd=pytest.approx(8020 / 360 + 0.14),
        usd_at_1h=pytest.approx(40.14),
    )


def test_a_launch_after_the_horizon_is_not_paid():
    arrays = launches((0, 0, None), (50, 60, None))
    assert bill(*arrays, horizon_ticks=50 * TICKS_PER_S, price=Price(1.0)).n_launches == 0
    assert bill(*arrays, horizon_ticks=50 * TICKS_PER_S + 1, price=Price(1.0)).n_launches == 1


def test_without_a_price_there_are_hours_and_no_dollars():
    made = bill(*launches((0, 0, None)), horizon_ticks=HOUR, price=Price())
    assert (made.chunk_hours, made.usd, made.usd_at_1h) == (1.0, None, None)


def test_tokens_cost_what_is_known_and_nothing_is_made_up():
    both = Price(input_usd_per_million=0.5, output_usd_per_million=1.5)
    assert pay_per_token_usd(2_000_000, 1_000_000, price=both) == 2.5
    embedding = Price(input_usd_per_million=0.13)
    assert pay_per_token_usd(1_000_000, 0, price=embedding) == 0.13
    assert pay_per_token_usd(1_000_000, 1, price=embedding) is None
    assert pay_per_token_usd(1, 0, price=Price()) is None
    assert pay_per_token_usd(0, 0, price=Price()) == 0.0


def test_rates_are_extrapolated_and_unknown_stays_unknown():
    assert usd_per_hour(3.0, span_ticks=HOUR // 2) == 6.0
    assert usd_per_month(3.0, span_ticks=HOUR // 2) == 6.0 * 730
    assert usd_per_million_tokens(3.0, tokens=500_000) == 6.0
    assert usd_per_hour(3.0, span_ticks=0) is None
    assert usd_per_month(None, span_ticks=HOUR) is None
    assert usd_per_million_tokens(3.0, tokens=0) is None
    assert usd_per_million_tokens(None, tokens=1) is None


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"usd_per_chunk_hour": -1.0}, "usd_per_chunk_hour is -1.0"),
        ({"usd_per_chunk_hour": float("nan")}, "usd_per_chunk_hour is nan"),
        ({"launch_usd": float("inf")}, "launch_usd is inf"),
        ({"output_usd_per_million": -0.1}, "output_usd_per_million is -0.1"),
        ({"bill_from": "release"}, "bill_from is 'release'; must be ready or start"),
        ({"granularity_s": 0.0}, "granularity_s is 0.0; must be > 0"),
        ({"granularity_s": 1e-12}, "granularity_s is 1e-12; must be at least"),
        ({"granularity_s": float("nan")}, "granularity_s is nan"),
    ],
)
def test_a_price_that_cannot_be_is_refused(wrong, told):
    with pytest.raises(CatalogueError, match=told):
        Price(**wrong)
