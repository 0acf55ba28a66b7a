"""Of how many futures a range must keep its promise, and whether the stated intervals hold the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from planner.confidence import (
    allowed_failures,
    fewest_futures,
    lowest_share,
    share_interval,
    spread,
)

shares = st.floats(0.01, 0.995)


@st.composite
def counts(draw: st.DrawFn) -> tuple[int, int]:
    trials = draw(st.integers(1, 400))
    return draw(st.integers(0, trials)), trials


@given(counts())
def test_the_bounds_are_those_of_scipy(count):
    successes, trials = count
    one_sided = stats.binomtest(successes, trials, alternative="greater").proportion_ci(0.95)
    assert lowest_share(successes, trials) == pytest.approx(one_sided.low, abs=1e-9)
    both = stats.binomtest(successes, trials).proportion_ci(0.95)
    assert share_interval(successes, trials) == pytest.approx((both.low, both.high), abs=1e-9)


@given(counts(), st.integers(2, 20))
def test_at_an_equal_share_of_successes_more_futures_raise_the_bound(count, times):
    successes, trials = count
    bound, more = lowest_share(successes, trials), lowest_share(times * successes, times * trials)
    assert more > bound if successes else more == bound == 0
    assert more < successes / trials or not successes


@given(counts())
def test_a_success_more_raises_the_bound_and_a_failure_more_lowers_it(count):
    successes, trials = count
    assert lowest_share(successes + 1, trials + 1) > lowest_share(successes, trials)
    assert lowest_share(successes, trials + 1) <= lowest_share(successes, trials)


@given(st.integers(1, 200), shares)
def test_as_many_failures_are_allowed_as_the_bound_bears_and_no_more(futures, share):
    allowed = allowed_failures(futures, share)
    if allowed is None:
        assert lowest_share(futures, futures) < share
        return
    assert lowest_share(futures - allowed, futures) >= share
    assert allowed == futures or lowest_share(futures - allowed - 1, futures) < share


@given(shares)
def test_the_fewest_futures_are_the_fewest_in_which_none_may_fail(share):
    fewest = fewest_futures(share)
    assume(fewest <= 500)
    assert allowed_failures(fewest, share) is not None
    assert fewest == 1 or allowed_failures(fewest - 1, share) is None


def test_the_design_s_numbers_of_futures():
    assert [allowed_failures(n, 0.9) for n in (28, 29, 45, 46, 60, 61)] == [None, 0, 0, 1, 1, 2]


@pytest.mark.parametrize("truth", [0.9, 0.5, 0.99])
def test_the_bound_is_wrong_in_at_most_one_of_twenty_cases(truth):
    """Summed over every count that can come: exact, no draws."""
    trials = 61
    chance = stats.binom.pmf(np.arange(trials + 1), trials, truth)
    wrong = [lowest_share(k, trials) > truth for k in range(trials + 1)]
    assert chance[wrong].sum() <= 0.05


numbers = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(st.lists(numbers, min_size=2, max_size=80))
def test_a_spread_is_around_the_mean_and_among_the_values(values):
    one = spread(values)
    assert one.unknown == 0
    assert one.value == pytest.approx(np.mean(values), abs=1e-6)
    assert one.low <= one.value <= one.high
    assert (one.low == one.high) == (np.std(values, ddof=1) == 0)
    ordered = sorted(values)
    # Nearest rank: the smallest value that so many percent do not exceed.
    for value, percent in ((one.p05, 5), (one.p95, 95)):
        assert value in ordered
        assert 100 * sum(v <= value for v in ordered) >= percent * len(ordered)
        assert 100 * sum(v < value for v in ordered) < percent * len(ordered)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=40), numbers)
def test_without_skew_the_interval_is_student_s(half, middle):
    values = [middle + x for x in half] + [middle - x for x in half]
    assume(np.std(values) > 1e-3)
    one = spread(values)
    low, high = stats.t.interval(
        0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values)
    )
    assert (one.low, one.high) == pytest.approx((low, high), abs=1e-3 * (high - low))


@given(st.lists(st.floats(0, 1e3), min_size=2, max_size=40), st.floats(0.1, 10), numbers)
def test_an_interval_moves_and_turns_with_its_figure(values, scale, by):
    """Other units and another sign give the same interval, in those units and mirrored."""
    assume(np.std(values) > 1e-3)
    one, moved = spread(values), spread([by - scale * x for x in values])
    mirrored = (by - scale * one.high, by - scale * one.low)
    assert (moved.low, moved.high) == pytest.approx(mirrored, rel=1e-6, abs=1e-3)


@given(st.lists(st.none() | numbers, min_size=1, max_size=9))
def test_what_one_future_does_not_know_is_not_known(values):
    one = spread(values)
    assert one.unknown == values.count(None)
    assert (one.value is None) == (None in values)
    if one.value is None or len(values) == 1:
        assert (one.low, one.high, one.p05, one.p95) == (None, None, None, None)


@pytest.mark.parametrize("skewed", [False, True])
def test_stated_intervals_of_independent_figures_cover_the_truth(skewed):
    """20 figures 4,000 times, normal or exponential; Student's t covers 91.9 % of the latter. The seed is fixed."""
    random = np.random.default_rng(5)
    repetitions = 4000
    draw = random.exponential if skewed else random.normal
    hits = 0
    for row in draw(size=(repetitions, 20)):
        one = spread(row.tolist())
        hits += one.low <= (1.0 if skewed else 0.0) <= one.high
    assert 0.935 <= hits / repetitions <= 0.965
