"""A promise is data, judged on exact counts, and says itself what it means and what it cannot tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.objective import Miss, Objective
from simulations.capacity import TokenChunks
from simulations.engine import simulate
from simulations.errors import ObjectiveError
from simulations.outcome import Limit, Outcome, summarise
from simulations.scenario import Autoscaler, Scenario, Service
from simulations.trace import Trace

SERVICE = Service(0.1, max_sequences=1, context_limit_tokens=1000)
"""One request at a time: 0.1 s to the first token, 0.1 s for each further one; 1000 tokens at the most."""


def outcome_of(n: int, *limits: Limit, n_waiting: int = 0, n_too_long: int = 0) -> Outcome:
    """Return the outcome of n requests a second apart: some wait 0.2 s for one that came just before, some
    are too long to be served at all.
    """
    n_alone = n - n_waiting - n_too_long
    arrival = [float(i) for i in range(n_alone)]
    # The one before takes 0.3 s; who comes 0.1 s after it waits for 0.2 s and has a token 0.1 s later.
    arrival += [i + 0.1 for i in range(n_waiting)]
    arrival += [i + 0.9 for i in range(n_too_long)]
    inputs = [10] * (n_alone + n_waiting) + [2000] * n_too_long
    trace = Trace.build(arrival, inputs, [3] * n, span_s=float(n))
    endpoint = Scenario(SERVICE, TokenChunks(100, 1, 1), Autoscaler(target=1.0), start_chunks=1)
    run = simulate(trace, endpoint)
    return summarise(run, limits)


TTFT = Limit("ttft", 95, 0.2)


def test_19_of_20_keep_a_95_percent_promise_and_18_do_not():
    promise = Objective((TTFT,))
    kept, missed = (promise.judge(outcome_of(20, TTFT, n_waiting=n)) for n in (1, 2))
    assert kept.holds
    assert kept.worst is None
    assert not missed.holds
    assert missed.misses == (Miss("ttft_p95_s", 0.9, 0.95),)
    assert missed.worst.by == pytest.approx(0.05)


def test_a_request_exactly_at_the_limit_keeps_it():
    """0.3 s is three iterations of 0.1 s, in whole ticks, and not the float next to it."""
    at_limit, below = Limit("ttft", 100, 0.3), Limit("ttft", 100, 0.29999999999)
    assert Objective((at_limit,)).judge(outcome_of(4, at_limit, n_waiting=1)).holds
    assert not Objective((below,)).judge(outcome_of(4, below, n_waiting=1)).holds


def test_one_refused_of_1000_keeps_a_tenth_of_a_percent_and_two_do_not():
    promise = Objective((), max_refused_fraction=0.001)
    assert promise.judge(outcome_of(1000, n_too_long=1)).holds
    verdict = promise.judge(outcome_of(1000, n_too_long=2))
    assert verdict.misses == (Miss("max_refused_fraction", 0.002, 0.001),)
    assert verdict.worst.by == pytest.approx(0.001)


def test_one_refused_of_999_is_more_than_a_tenth_of_a_percent():
    assert not Objective((), 0.001).judge(outcome_of(999, n_too_long=1)).holds


@given(st.integers(1, 100))
def test_the_share_allowed_is_the_one_that_was_written(percent):
    """0.07 of 100 requests are 7, although 0.07 * 100 is a float below or above that."""
    share = percent / 100
    outcome = outcome_of(100, n_too_long=percent)
    assert Objective((), share).judge(outcome).holds
    assert not Objective((), (percent - 1) / 100).judge(outcome).holds


def test_a_refused_request_breaks_every_limit():
    limits = (TTFT, Limit("e2e", 95, 10.0), Limit("tpot", 95, 10.0))
    verdict = Objective(limits, max_refused_fraction=1.0).judge(
        outcome_of(20, *limits, n_too_long=2)
    )
    assert [miss.limit for miss in verdict.misses] == ["ttft_p95_s", "e2e_p95_s", "tpot_p95_s"]
    assert {miss.attained for miss in verdict.misses} == {0.9}


def test_the_worst_miss_is_the_one_that_most_requests_make_up():
    """One of twenty is refused and misses all; eight more have their first token too late."""
    slight, bad = Limit("tpot", 100, 10.0), Limit("ttft", 100, 0.2)
    outcome = outcome_of(20, slight, bad, n_waiting=8, n_too_long=1)
    verdict = Objective((slight, bad), 0.0).judge(outcome)
    assert [(miss.limit, round(miss.by, 3)) for miss in verdict.misses] == [
        ("ttft_p100_s", 0.45),
        ("tpot_p100_s", 0.05),
        ("max_refused_fraction", 0.05),
    ]
    assert verdict.worst == verdict.misses[0]


def test_nothing_asked_for_means_a_first_token_in_2_s_and_a_tenth_of_a_percent_refused():
    promise = Objective.default()
    assert promise == Objective((Limit("ttft", 95, 2.0),), 0.001, is_default=True)
    assert promise.definition == (
        "at least 95 % of arrived requests have their first token within 2 s of their first attempt; "
        "at most 0.1 % are refused for good. Refused requests count as never."
    )


def test_the_definition_names_every_limit():
    promise = Objective((Limit("tpot", 50, 0.05), Limit("e2e", 99, 30.0)), 0.0)
    assert promise.definition == (
        "at least 50 % of arrived requests have at most 0.05 s per output token after the first; "
        "at least 99 % of arrived requests have their last token within 30 s of their first attempt; "
        "at most 0 % are refused for good. Refused requests count as never."
    )


def test_a_short_trace_is_warned_about_by_percentile():
    promise = Objective((Limit("ttft", 95, 2.0), Limit("e2e", 99, 30.0)))
    assert promise.shortness_warnings(500) == [
        "500 requests leave 5 beyond p99 of E2E: the trace is too short for this percentile; "
        "take at least 1,000 requests",
        "500 requests are too few to tell 0.1 % refused from none",
    ]
    assert promise.shortness_warnings(1000) == []


def test_what_a_warning_asks_for_is_enough_and_one_less_is_not():
    for percentile in (50, 90, 95, 99):
        promise = Objective((Limit("ttft", percentile, 2.0),), 0.0)
        (warning,) = promise.shortness_warnings(2)
        enough = int(warning.rpartition("at least ")[2].removesuffix(" requests").replace(",", ""))
        assert promise.shortness_warnings(enough) == []
        assert promise.shortness_warnings(enough - 1) != []


def test_all_requests_and_no_refusal_can_be_promised_on_any_trace():
    assert Objective((Limit("ttft", 100, 2.0),), 0.0).shortness_warnings(3) == []


def test_a_percentile_is_promised_once():
    with pytest.raises(ObjectiveError, match="ttft_p95_s, ttft_p95_s name a percentile twice"):
        Objective((Limit("ttft", 95, 2.0), Limit("ttft", 95, 3.0)))


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("name", ["max_refused_fraction", "hold_in_fraction"])
def test_a_share_outside_0_to_1_is_refused(name, share):
    with pytest.raises(ObjectiveError, match=f"{name} is {share}; must be between 0 and 1"):
        Objective((), **{name: share})


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (("itl", 95, 1.0), "metric is 'itl'; must be ttft, tpot or e2e"),
        (("ttft", 0, 1.0), "percentile of ttft is 0; must be 1..100"),
        (("ttft", 101, 1.0), "percentile of ttft is 101; must be 1..100"),
        (("ttft", 95, 0.0), "ttft_p95_s is 0.0; must be > 0"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(given, complaint):
    with pytest.raises(ObjectiveError, match=complaint):
        Limit(*given)
