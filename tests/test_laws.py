"""The laws of the endpoint, one by one: against tables, against exact arithmetic, and compiled."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numba
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from simulations import kernel, laws
from simulations.ticks import TICKS_PER_S


def compiled(name: str) -> Callable[..., Any]:
    """Return a law as the kernel compiles it, made callable from Python."""
    law = getattr(kernel, name)

    @numba.njit(error_model="numpy")
    def call(*arguments):
        return law(*arguments)

    return call


COMPILED_FIRST_BOUNDARY = compiled("first_boundary")


# --- one chunk ---------------------------------------------------------------------------------


@given(st.integers(0, 1 << 24), st.integers(0, 1 << 12))
def test_triangles_of_a_prompt_do_not_depend_on_its_split(done, share):
    """Attention is charged per pair, so what two parts cost adds up to the whole."""
    pairs = sum(done + token for token in range(1, share + 1))
    assert laws.triangle(done + share) - laws.triangle(done) == pairs


@given(st.integers(1, 10**9), st.integers(0, 10**6), st.integers(1, 300))
def test_decode_iterations_grow_by_the_same_step(first, growth, iterations):
    assert laws.decode_ticks(first, growth, iterations) == sum(
        first + growth * i for i in range(iterations)
    )


@pytest.mark.parametrize(
    "law", [laws.first_boundary, COMPILED_FIRST_BOUNDARY], ids=["python", "compiled"]
)
@settings(max_examples=500)
@given(st.integers(1, 10**13), st.integers(0, 10**9), st.integers(1, 10**17))
def test_first_boundary_is_the_first_with_large_coefficients(law, first, growth, elapsed):
    """Anywhere in time: no boundary before it is late enough."""
    k = law(first, growth, elapsed)
    assert laws.decode_ticks(first, growth, k) >= elapsed
    assert k == 1 or laws.decode_ticks(first, growth, k - 1) < elapsed


@pytest.mark.parametrize(
    "law", [laws.first_boundary, COMPILED_FIRST_BOUNDARY], ids=["python", "compiled"]
)
@settings(max_examples=500)
@given(
    st.integers(1, 10**13),
    st.integers(0, 10**9),
    st.integers(1, 10**8),
    st.sampled_from([-1, 0, 1]),
)
def test_first_boundary_hits_a_boundary_to_the_tick(law, first, growth, iterations, shift):
    """At, just before and just after a boundary, where a float root alone would miss."""
    boundary = laws.decode_ticks(first, growth, iterations)
    assume(1 <= boundary + shift <= 10**17)
    expected = iterations + (1 if shift > 0 else 0)
    if (
        shift < 0
        and iterations > 1
        and laws.decode_ticks(first, growth, iterations - 1) >= boundary - 1
    ):
        expected = iterations - 1
    assert law(first, growth, boundary + shift) == expected


# --- the autoscaler ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric_per_chunk", "current", "wanted"),
    [
        # desired = ceil(current * metric / target) with target 10, skipped within 10 %
        (20.0, 1, 2),
        (20.0, 3, 6),
        (15.0, 2, 3),
        (12.5, 4, 5),
        (11.5, 1, 2),
        (10.9, 10, 10),  # 9 % above: within the tolerance
        (11.1, 10, 12),  # 11 % above, then rounded up
        (10.0, 7, 7),
        (9.1, 10, 10),  # 9 % below
        (8.9, 10, 9),  # 11 % below: ceil(8.9)
        (5.0, 4, 2),
        (2.4, 4, 1),
        (0.0, 4, 1),  # the floor
        (50.0, 4, 16),  # the ceiling
    ],
)
def test_wanted_chunks_follow_the_horizontal_pod_autoscaler(metric_per_chunk, current, wanted):
    """Source: Kubernetes HPA: ceil(current * metric / target), skipped if |ratio - 1| <= 0.1."""
    mean = metric_per_chunk * current
    assert laws.wanted_chunks(mean, 10.0, 0.1, current, 1, 16) == wanted


@pytest.mark.parametrize(
    ("mean", "tolerance", "total", "wanted"),
    [
        (5.0, 0.25, 4, 4),  # exactly at the tolerance: kept, as the source says "<="
        (3.0, 0.25, 4, 4),
        (5.0 + 1e-9, 0.25, 4, 6),
        (3.0 - 1e-9, 0.25, 4, 3),
        (4.0, 0.0, 4, 4),
        (0.5, 0.9, 0, 1),  # with no chunks there is no ratio, so no tolerance
        (0.0, 0.9, 0, 0),
    ],
)
def test_tolerance_is_a_closed_interval_around_the_target(mean, tolerance, total, wanted):
    assert laws.wanted_chunks(mean, 1.0, tolerance, total, 0, 8) == wanted


def test_wanted_chunks_never_leave_the_range_however_large_the_metric():
    assert laws.wanted_chunks(1e300, 1e-300, 0.1, 3, 1, 8) == 8
    assert laws.wanted_chunks(900.0, 100.0, 0.5, 9, 1, 8) == 8  # on target, but above the maximum
    assert laws.wanted_chunks(0.0, 1.0, 0.0, 5, 2, 8) == 2


@pytest.mark.parametrize(
    ("chunks", "fraction", "total", "most"),
    [(4, 1.0, 2, 4), (4, 1.0, 10, 10), (1, 0.5, 3, 1), (1, 0.5, 5, 2), (3, 0.0, 99, 3)],
)
def test_one_decision_starts_so_many_or_a_share(chunks, fraction, total, most):
    """Source: Kubernetes HPA, 4 pods or 100 %, whichever is more."""
    assert laws.largest_step(chunks, fraction, total) == most


@pytest.mark.parametrize(
    ("total", "in_flight", "idle", "floor"),
    [(1, 0, 19, 1), (1, 0, 20, 0), (1, 0, 21, 0), (1, 1, 99, 1), (0, 1, 0, 0), (0, 0, 0, 0)],
)
def test_zero_floor_holds_one_chunk_until_it_was_idle_long_enough(total, in_flight, idle, floor):
    assert laws.zero_floor(total, in_flight, idle, 20) == floor


@given(
    st.integers(0, 10**10),
    st.integers(0, TICKS_PER_S - 1),
    st.integers(1, 1000),
    st.integers(1, 10**15),
)
def test_mean_metric_is_exact_to_the_last_bits(seconds, ticks, intervals, interval_ticks):
    """Ten billion request-seconds, more than 64 bits of ticks, lose nothing but rounding."""
    exact = Fraction(seconds * TICKS_PER_S + ticks, intervals * interval_ticks)
    mean = laws.mean_metric(seconds, ticks, intervals, interval_ticks)
    assert abs(Fraction(mean) - exact) <= exact * Fraction(4, 1 << 53)


@given(st.integers(0, 10**15), st.integers(1, 1000), st.integers(1, 10**15))
def test_mean_rate_is_exact_to_the_last_bits(tokens, intervals, interval_ticks):
    exact = Fraction(tokens * TICKS_PER_S, intervals * interval_ticks)
    assert abs(Fraction(laws.mean_rate(tokens, intervals, interval_ticks)) - exact) <= (
        exact * Fraction(4, 1 << 53)
    )


@given(st.integers(-(10**9), 10**9), st.integers(-(1 << 62), 1 << 62))
def test_a_pair_of_seconds_and_ticks_keeps_its_sum(seconds, ticks):
    """Also where ticks were taken away, so that they are negative for a moment."""
    total_s, total_ticks = laws.carry_seconds(seconds, ticks), laws.carry_ticks(ticks)
    assert total_s * TICKS_PER_S + total_ticks == seconds * TICKS_PER_S + ticks
    assert 0 <= total_ticks < TICKS_PER_S


# --- clients and draws -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attempt", "jitter", "retry_after", "wait"),
    [
        (0, 0, 0, 40),
        (1, 0, 0, 80),
        (2, 3, 0, 163),
        (30, 0, 0, 40 << 30),
        (2, 3, 1, 1),
        (0, 9, 200, 200),
    ],
)
def test_backoff_doubles_and_retry_after_is_obeyed_exactly(attempt, jitter, retry_after, wait):
    assert laws.backoff_wait(40, attempt, jitter, retry_after) == wait


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 1 << 61))
def test_a_drawn_share_stays_within_its_spread(fraction, spread):
    assert 0 <= laws.drawn_ticks(fraction, spread) <= spread


N_DRAWS = 1 << 15
CERTAINTY = 0.999


def draws(seed: int, purpose: int, attempt: int) -> np.ndarray:
    return np.array([laws.draw(seed, purpose, index, attempt) for index in range(N_DRAWS)])


@pytest.mark.parametrize("seed", [0, 1, 0xFFFFFFFF])
@pytest.mark.parametrize("attempt", [0, 3])
def test_draws_are_uniform(seed, attempt):
    """Chi-square over 128 cells within its central 99.9 %: neither uneven nor too even."""
    counts, _ = np.histogram(draws(seed, laws.PURPOSE_JITTER, attempt), bins=128, range=(0, 1))
    statistic = stats.chisquare(counts).statistic
    low, high = stats.chi2.interval(CERTAINTY, 127)
    assert low < statistic < high


@pytest.mark.parametrize(
    "other",
    [(5, laws.PURPOSE_START_DELAY, 0), (5, laws.PURPOSE_JITTER, 1), (6, laws.PURPOSE_JITTER, 0)],
    ids=["purpose", "attempt", "seed"],
)
def test_draws_that_differ_in_one_counter_are_independent(other):
    """Chi-square of a 16 x 16 table within its central 99.9 %."""
    pairs, *_ = np.histogram2d(
        draws(5, laws.PURPOSE_JITTER, 0), draws(*other), bins=16, range=((0, 1), (0, 1))
    )
    assert_independent(pairs)


def test_draws_of_neighbours_are_independent():
    some = draws(5, laws.PURPOSE_JITTER, 0)
    pairs, *_ = np.histogram2d(some[:-1], some[1:], bins=16, range=((0, 1), (0, 1)))
    assert_independent(pairs)


def assert_independent(pairs: np.ndarray) -> None:
    low, high = stats.chi2.interval(CERTAINTY, pairs.size - 1)
    assert low < stats.chisquare(pairs.ravel()).statistic < high


# --- compiled ----------------------------------------------------------------------------------

counts = st.integers(0, 4096)
tick_counts = st.integers(0, 1 << 61)
positive = st.floats(1e-6, 1e9)
counters = st.integers(0, (1 << 40) - 1)

INPUTS: dict[str, tuple[st.SearchStrategy, ...]] = {
    "triangle": (st.integers(0, 1 << 24),),
    "decode_ticks": (st.integers(1, 10**13), st.integers(0, 10**9), st.integers(1, 10**4)),
    "first_boundary": (st.integers(1, 10**13), st.integers(0, 10**9), st.integers(1, 10**17)),
    "carry_seconds": (st.integers(-(10**9), 10**9), st.integers(-(1 << 62), 1 << 62)),
    "carry_ticks": (st.integers(-(1 << 62), 1 << 62),),
    "mean_metric": (
        st.integers(0, 10**10),
        tick_counts,
        st.integers(1, 1000),
        st.integers(1, 1 << 60),
    ),
    "mean_rate": (st.integers(0, 1 << 60), st.integers(1, 1000), st.integers(1, 1 << 60)),
    "wanted_chunks": (st.floats(0, 1e12), positive, st.floats(0, 2), counts, counts, counts),
    "largest_step": (counts, st.floats(0, 10), counts),
    "zero_floor": (counts, counts, tick_counts, tick_counts),
    "draw": (counters, st.integers(1, 2), counters, st.integers(0, 30)),
    "drawn_ticks": (st.floats(0, 1, exclude_max=True), tick_counts),
    "backoff_wait": (
        st.integers(1, 1 << 30),
        st.integers(0, 30),
        st.integers(0, 1 << 40),
        tick_counts,
    ),
}


def test_every_law_is_compared_compiled():
    """No law can be added without a row in the table above."""
    public = {n for n, law in vars(laws).items() if callable(law) and not n.startswith("_")}
    assert INPUTS.keys() == public


@pytest.mark.parametrize("name", INPUTS)
def test_compiled_law_equals_the_one_in_python(name):
    """With `==`, since both engines must agree to the tick."""
    python, machine = getattr(laws, name), compiled(name)

    @given(st.tuples(*INPUTS[name]))
    def compare(arguments):
        assert machine(*arguments) == python(*arguments)

    compare()
