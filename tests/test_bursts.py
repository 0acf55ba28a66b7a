"""Bursts, clients, events and lengths against their closed forms; what each stream may and may not move."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from simulations.errors import TraceError
from simulations.ticks import TICKS_PER_S
from simulations.traffic import (
    Bursts,
    Client,
    Clients,
    Description,
    Event,
    LogNormal,
    OnOff,
    ParetoTail,
    QuantileTable,
    Renewal,
    SeasonalRate,
    SteppedRate,
    arrivals,
    description_text,
    generate,
    load_description,
)

# A correct generator fails a check at this level once in 10,000 seeds; the seeds are fixed.
ALPHA = 1e-4
Z = float(stats.norm.isf(ALPHA / 2))

EXAMPLES = Path(__file__).parents[1] / "examples"
DAY_S = 86_400.0
LENGTHS = LogNormal.from_p95(400, 3000)
FLAT = Description(20_000.0, SteppedRate((5.0,)), LENGTHS, LENGTHS, seed=3)
STEADY = Renewal()


def arrived_s(description: Description, replication: int = 0) -> np.ndarray:
    """Arrivals in seconds since the described beginning."""
    return arrivals.draw(description, replication=replication).ticks / TICKS_PER_S


def within(values: list[float] | np.ndarray, expected: float) -> bool:
    """Whether the mean of independent values is as expected, at the level ALPHA."""
    values = np.asarray(values, float)
    return bool(abs(values.mean() - expected) <= Z * values.std(ddof=1) / math.sqrt(len(values)))


# Gaps

RENEWALS = [Renewal("gamma", 0.4), Renewal("gamma", 3.0), Renewal("weibull", 0.4), Renewal("weibull", 3.0)]  # fmt: skip


def law_of(gaps: Renewal) -> stats.rv_frozen:
    """The law of gaps of mean 1, from scipy."""
    shape = gaps.shape
    if gaps.gaps == "gamma":
        return stats.gamma(shape, scale=1 / shape)
    return stats.weibull_min(shape, scale=1 / special.gamma(1 + 1 / shape))


def follow(gaps: np.ndarray, law: stats.rv_frozen, *, least: float) -> bool:
    """Whether gaps above a resolution follow a law, and as many as should are not above it."""
    above = gaps[gaps > least]
    below = law.cdf(least)
    share = stats.binomtest(len(gaps) - len(above), len(gaps), below).pvalue
    shape = stats.kstest(above, lambda x: (law.cdf(x) - below) / (1 - below)).pvalue
    return min(share, shape) > ALPHA


@pytest.mark.parametrize("gaps", RENEWALS, ids=str)
def test_gaps_have_their_law_mean_and_variation(gaps: Renewal) -> None:
    law = law_of(gaps)
    assert (law.mean(), law.std()) == (pytest.approx(1), pytest.approx(gaps.cv))
    points = np.concatenate(list(gaps.points(50_000.0, np.random.default_rng(1))))
    assert (np.diff(points) >= 0).all()
    assert points[-1] < 50_000
    assert follow(np.diff(points), law, least=1e-6)


@pytest.mark.parametrize("gaps", RENEWALS, ids=str)
def test_the_first_gap_is_that_of_a_process_that_has_always_run(gaps: Renewal) -> None:
    """Its mean is (1 + cv^2)/2, so that the count in any window has the mean of its length."""
    random = np.random.default_rng(2)
    first = [next(np.append(part, part) for part in gaps.points(1e6, random))[0] for _ in range(4000)]  # fmt: skip
    assert within(first, (1 + gaps.cv**2) / 2)
    counts = [sum(map(len, gaps.points(7.0, random))) for _ in range(4000)]
    assert within(counts, 7.0)


@pytest.mark.parametrize("gaps", RENEWALS, ids=str)
def test_counts_in_long_windows_have_the_square_of_the_variation_as_dispersion(gaps) -> None:
    described = replace(FLAT, duration_s=60_000.0, bursts=Bursts(gaps))
    counts = np.histogram(arrived_s(described), np.arange(0, 60_001, 60.0))[0]
    # Of n windows a variance has a relative standard error of about sqrt(2/n); heavy tails double it.
    allowed = 2 * Z * math.sqrt(2 / len(counts))
    assert counts.var(ddof=1) / counts.mean() == pytest.approx(gaps.cv**2, rel=allowed)


def test_gamma_of_variation_1_and_weibull_of_variation_1_are_poisson() -> None:
    for kind in ("gamma", "weibull"):
        gaps = np.diff(arrived_s(replace(FLAT, bursts=Bursts(Renewal(kind, 1.0)))))
        assert stats.kstest(gaps, stats.expon(scale=1 / 5).cdf).pvalue > ALPHA


def test_gaps_follow_the_rate() -> None:
    """In operational time a rate that goes up and down leaves the gaps their law."""
    gaps = Renewal("gamma", 2.0)
    waves = replace(
        FLAT, rate=SeasonalRate(2.0, daily_amplitude=0.9), duration_s=DAY_S, bursts=Bursts(gaps)
    )
    passed = waves.clock().passed_at(arrived_s(waves))
    # Arrivals are on whole microseconds, and many gaps of this law are shorter.
    assert follow(np.diff(passed), law_of(gaps), least=1e-3)


# Bursts

ON_OFF = [OnOff(30.0, 300.0, 15.0), OnOff(5.0, 5.0, 3.0), OnOff(120.0, 1000.0, math.inf)]


@pytest.mark.parametrize("on_off", ON_OFF, ids=str)
def test_the_mean_over_bursts_and_pauses_is_the_rate(on_off: OnOff) -> None:
    on = on_off.on_fraction
    assert on * on_off.on_factor + (1 - on) * on_off.off_factor == pytest.approx(1)
    if math.isfinite(on_off.on_to_off_ratio):
        assert on_off.on_factor / on_off.off_factor == pytest.approx(on_off.on_to_off_ratio)
    counts = [len(arrived_s(replace(FLAT, bursts=Bursts(STEADY, on_off)), i)) for i in range(60)]
    assert within(counts, 5.0 * FLAT.duration_s)


@pytest.mark.parametrize("on_off", ON_OFF, ids=str)
@pytest.mark.parametrize("window_s", [1.0, 60.0, 300.0])
def test_dispersion_is_that_of_an_mmpp(on_off: OnOff, window_s: float) -> None:
    """Around the known mean, over 60 replications, each an estimate without bias."""
    described = replace(FLAT, duration_s=6000.0, bursts=Bursts(STEADY, on_off))
    mean = 5.0 * window_s
    edges = np.arange(0, 6000.0 + 1, window_s)
    found = [
        ((np.histogram(arrived_s(described, i), edges)[0] - mean) ** 2).mean() / mean
        for i in range(60)
    ]
    assert within(found, on_off.dispersion(5.0, window_s))


def test_bursts_and_pauses_have_their_mean_lengths() -> None:
    on_off = OnOff(30.0, 300.0, 15.0)
    begins_on, at_s = on_off.switches_s(2e6, np.random.default_rng(4))
    lengths = np.diff(at_s)
    later_on, later_off = (lengths[1::2], lengths[::2]) if begins_on else (lengths[::2], lengths[1::2])  # fmt: skip
    assert stats.kstest(later_on, stats.expon(scale=30).cdf).pvalue > ALPHA
    assert stats.kstest(later_off, stats.expon(scale=300).cdf).pvalue > ALPHA
    begins = [on_off.switches_s(1.0, np.random.default_rng(i))[0] for i in range(3000)]
    assert stats.binomtest(sum(begins), 3000, 30 / 330).pvalue > ALPHA


# Clients


def test_clients_have_their_shares_by_zipfs_law() -> None:
    law = Clients(6, 1.5)
    expected = np.array([1 / i**1.5 for i in range(1, 7)])
    assert law.shares == pytest.approx(expected / expected.sum())
    arrived = arrivals.draw(replace(FLAT, clients=law), replication=0)
    counts = np.bincount(arrived.senders)
    chi2 = ((counts - len(arrived.ticks) * law.shares) ** 2 / (len(arrived.ticks) * law.shares)).sum()  # fmt: skip
    assert ALPHA / 2 < stats.chi2.cdf(chi2, 5) < 1 - ALPHA / 2


def test_many_steady_clients_are_poisson_together() -> None:
    gaps = np.diff(arrived_s(replace(FLAT, clients=Clients(40, 1.0))))
    assert stats.kstest(gaps, stats.expon(scale=1 / 5).cdf).pvalue > ALPHA


def test_a_client_of_a_share_adds_the_square_of_it_to_the_variance() -> None:
    """p^2 times the variance of its own multiplier; the few large ones cause the bursts."""
    on_off = OnOff(60.0, 540.0, math.inf)
    clients = (Client(0.7), Client(0.3, Bursts(STEADY, on_off)))
    described = replace(FLAT, duration_s=6000.0, clients=clients)
    edges = np.arange(0, 6001, 60.0)
    found = [
        ((np.histogram(arrived_s(described, i), edges)[0] - 300.0) ** 2).mean() / 300
        for i in range(60)
    ]
    assert within(found, 1 + 0.3**2 * (on_off.dispersion(5.0, 60.0) - 1))


def test_each_client_has_its_own_lengths() -> None:
    clients = (Client(0.5, input_factor=3.0), Client(0.5, output_factor=0.5))
    described = replace(FLAT, clients=clients)
    trace = generate(described)
    senders = arrivals.draw(described, replication=0).senders
    medians = [np.median(trace.input_tokens[senders == i]) for i in (0, 1)]
    assert medians[0] / medians[1] == pytest.approx(3.0, rel=0.05)
    medians = [np.median(trace.output_tokens[senders == i]) for i in (0, 1)]
    assert medians[0] / medians[1] == pytest.approx(2.0, rel=0.05)


def test_the_scales_of_clients_leave_the_mean_length_and_are_the_same_in_every_future() -> None:
    law = Clients(30, 1.0, input_sigma=1.0, output_sigma=0.5)
    members = [arrivals.draw(replace(FLAT, clients=law), replication=i).clients for i in (0, 1)]
    assert members[0] == members[1]
    shares = np.array([one.share_fraction for one in members[0]])
    assert shares @ np.array([one.input_factor for one in members[0]]) == pytest.approx(1)
    assert shares @ np.array([one.output_factor for one in members[0]]) == pytest.approx(1)


def test_only_the_largest_clients_have_the_bursts_where_so_many_are_given() -> None:
    bursts = Bursts(Renewal("gamma", 3.0))
    members = Clients(5, 1.0, n_bursty=2).members(bursts, np.random.default_rng(1))
    assert [one.bursts == bursts for one in members] == [True, True, False, False, False]


# Rates, events, growth


@pytest.mark.parametrize("between", ["steps", "lines"])
def test_a_rate_in_steps_or_lines_is_kept_to(between: str) -> None:
    """Chi-square over half hours of two days, from a Wednesday morning."""
    hours = tuple(1 + (i * 7 % 24) / 12 for i in range(24))
    described = Description(
        2 * DAY_S,
        SteppedRate(hours, 3600.0, "monday", between),
        LENGTHS,
        LENGTHS,
        start=datetime(2026, 11, 18, 9, 30, tzinfo=UTC),
    )
    edges = np.arange(0, 2 * DAY_S + 1, 1800.0)
    fine = described.rate_per_s(np.arange(0, 2 * DAY_S, 10.0) + 5.0)
    expected = fine.reshape(-1, 180).mean(axis=1) * 1800
    counts = np.histogram(arrived_s(described), edges)[0]
    chi2 = ((counts - expected) ** 2 / expected).sum()
    assert ALPHA / 2 < stats.chi2.cdf(chi2, len(counts)) < 1 - ALPHA / 2
    at_ten = described.rate_per_s(np.array([1800.0, 3600.0]))
    assert at_ten[1] == hours[10]
    assert at_ten[0] == (hours[10] if between == "steps" else pytest.approx((hours[9] + hours[10]) / 2))  # fmt: skip


def test_an_event_multiplies_the_traffic_while_it_lasts() -> None:
    launch = Event(6000.0, 7200.0, 3.0, ramp_s=600.0)
    counts = [
        np.histogram(arrived_s(replace(FLAT, events=(launch,)), i), [0, 6000, 6600, 13_800, 14_400, 20_000])[0]
        for i in range(40)
    ]  # fmt: skip
    lengths_s, factors = (6000, 600, 7200, 600, 5600), (1, 2, 3, 2, 1)
    for i, (length_s, factor) in enumerate(zip(lengths_s, factors, strict=True)):
        assert within([row[i] for row in counts], 5.0 * length_s * factor)


def test_events_at_once_multiply_each_other() -> None:
    both = replace(FLAT, events=(Event(0.0, 100.0, 3.0), Event(50.0, 100.0, 0.0)))
    assert both.rate_per_s(np.array([25.0, 75.0, 125.0, 175.0])).tolist() == [15.0, 0.0, 0.0, 5.0]


def test_growth_compounds_from_week_to_week() -> None:
    grown = replace(FLAT, duration_s=21 * DAY_S, growth_per_week_fraction=0.1)
    at = np.array([0.0, 7.0, 14.0]) * DAY_S
    assert grown.rate_per_s(at) == pytest.approx([5.0, 5.5, 6.05])
    expected = 5 * 7 * DAY_S * (1.1**3 - 1) / math.log(1.1)
    assert grown.clock().total == pytest.approx(expected, rel=1e-6)


# Lengths

TABLE = QuantileTable((0.0, 0.5, 0.9, 0.99), (10.0, 200.0, 2000.0, 9000.0), max_tokens=10**6)


def share_at_most(tokens: np.ndarray, limit: float) -> float:
    """The p-value of the share of tokens at most a limit being as it should."""
    return float(np.count_nonzero(tokens <= limit))


@pytest.mark.parametrize(("share", "tokens"), [(0.25, 105), (0.5, 200), (0.7, 1100), (0.9, 2000)])
def test_a_table_of_quantiles_is_met_and_straight_in_between(share: float, tokens: float) -> None:
    drawn = generate(replace(FLAT, input=TABLE)).input_tokens
    # A count is rounded: at most q is below q + 1/2, a little more than the share.
    slope = {105: 0.5 / 190, 200: 0.4 / 1800, 1100: 0.4 / 1800, 2000: 0.09 / 7000}[tokens]
    at_most = int(share_at_most(drawn, tokens))
    assert stats.binomtest(at_most, len(drawn), share + slope / 2).pvalue > ALPHA


@pytest.mark.parametrize(
    ("lengths", "begins", "fraction"),
    [
        (QuantileTable.with_tail(TABLE.fractions, TABLE.tokens, tail_index=1.5, max_tokens=10**7), 9000.0, 0.01),
        (LogNormal(400.0, 1.0, max_tokens=10**7, tail=ParetoTail(0.05, 1.5)), 400 * math.exp(-special.ndtri(0.05)), 0.05),
    ],
    ids=["table", "lognormal"],
)  # fmt: skip
def test_the_longest_follow_a_power_law(lengths, begins: float, fraction: float) -> None:
    drawn = generate(replace(FLAT, input=lengths)).input_tokens
    for times in (1.0, 2.0, 5.0):
        beyond = int(np.count_nonzero(drawn > begins * times))
        assert stats.binomtest(beyond, len(drawn), fraction * times**-1.5).pvalue > ALPHA


def test_below_its_tail_a_lognormal_is_itself() -> None:
    tailed = replace(LENGTHS, tail=ParetoTail(0.01, 1.2))
    with_tail = generate(replace(FLAT, input=tailed)).input_tokens
    plain = generate(FLAT).input_tokens
    begins = 400 * math.exp(-special.ndtri(0.01) * LENGTHS.sigma)
    assert (plain[plain < begins - 1] == with_tail[plain < begins - 1]).all()
    assert with_tail[plain > begins + 1].min() >= begins - 1


@pytest.mark.parametrize("rank_correlation", [-0.9, -0.3, 0.0, 0.5, 0.95, 1.0])
def test_output_goes_with_input_as_told(rank_correlation: float) -> None:
    trace = generate(replace(FLAT, output=TABLE, rank_correlation=rank_correlation))
    found = stats.spearmanr(trace.input_tokens, trace.output_tokens).statistic
    # Fisher's transformation; 1.06 is the variance of Spearman's (Fieller, Hartley and Pearson, 1957).
    allowed = Z * math.sqrt(1.06 / (len(trace) - 3)) * (1 - rank_correlation**2) + 1e-3
    assert found == pytest.approx(rank_correlation, abs=allowed)


def test_dependence_leaves_both_distributions_alone() -> None:
    apart, tied = (generate(replace(FLAT, rank_correlation=r)) for r in (0.0, 0.8))
    assert (apart.input_tokens == tied.input_tokens).all()
    assert stats.ks_2samp(apart.output_tokens, tied.output_tokens).pvalue > ALPHA


# Streams

RICH = replace(
    FLAT,
    duration_s=3000.0,
    clients=Clients(5, 1.0, 3, input_sigma=0.5),
    bursts=Bursts(Renewal("weibull", 2.0), OnOff(20.0, 200.0, 8.0)),
    events=(Event(1000.0, 500.0, 3.0, 60.0, "launch"),),
    growth_per_week_fraction=0.05,
    rank_correlation=0.4,
)


def test_the_same_seed_gives_the_same_bytes_and_another_others() -> None:
    assert generate(RICH, replication=2).sha256 == generate(RICH, replication=2).sha256
    others = [generate(RICH), generate(RICH, replication=1), generate(replace(RICH, seed=4))]
    assert len({trace.sha256 for trace in others}) == 3


def test_lengths_move_no_arrival_and_bursts_move_no_length() -> None:
    one = generate(RICH)
    longer = generate(replace(RICH, input=LogNormal(5.0, 0.1), rank_correlation=0.0))
    assert (one.arrival_ticks == longer.arrival_ticks).all()
    calm = generate(replace(FLAT, duration_s=3000.0))
    bursty = generate(replace(FLAT, duration_s=3000.0, bursts=RICH.bursts))
    n = min(len(calm), len(bursty))
    assert (calm.input_tokens[:n] == bursty.input_tokens[:n]).all()
    assert (calm.output_tokens[:n] == bursty.output_tokens[:n]).all()


def test_the_bursts_of_one_client_move_no_other() -> None:
    def of_first(second: Client) -> np.ndarray:
        described = replace(FLAT, duration_s=3000.0, clients=(Client(0.5), second))
        arrived = arrivals.draw(described, replication=0)
        return arrived.ticks[arrived.senders == 0]

    calm, bursty = (of_first(Client(0.5, bursts)) for bursts in (Bursts(), RICH.bursts))
    assert (calm == bursty).all()


def test_phases_and_gaps_have_streams_of_their_own() -> None:
    """Other gaps within the same bursts: the bursts are at the same times."""
    on_off = OnOff(100.0, 400.0, math.inf)
    busy = []
    for gaps in (Renewal(), Renewal("gamma", 0.1)):
        described = replace(FLAT, duration_s=3000.0, bursts=Bursts(gaps, on_off))
        busy.append(np.histogram(arrived_s(described), np.arange(0, 3001, 20.0))[0] > 0)
    assert (busy[0] == busy[1]).mean() > 0.9


# What holds of any description

lengths = st.one_of(
    st.builds(
        LogNormal,
        st.floats(1, 2000),
        st.floats(0, 2),
        st.just(1),
        st.integers(1, 10**5),
        st.none() | st.builds(ParetoTail, st.floats(0.001, 0.5), st.floats(0.1, 10)),
    ),
    st.builds(
        lambda steps, index: QuantileTable.with_tail((0.0, 0.5, 0.9), tuple(itertools.accumulate(steps)), tail_index=index),
        st.tuples(*[st.floats(0, 1000)] * 3),
        st.floats(0.5, 5),
    ),
)  # fmt: skip
on_offs = st.builds(
    OnOff, st.floats(1, 100), st.floats(1, 100), st.floats(1.1, 100) | st.just(math.inf)
)
gaps = st.just(Renewal()) | st.builds(
    Renewal, st.sampled_from(["gamma", "weibull"]), st.floats(0.1, 10)
)
bursts = st.builds(Bursts, gaps, st.none() | on_offs)
rates = st.one_of(
    st.builds(SeasonalRate, st.floats(0.5, 5), st.floats(0, 1), st.floats(0, 23), st.floats(0, 3)),
    st.builds(
        SteppedRate,
        st.lists(st.floats(0.5, 5), min_size=1, max_size=30).map(tuple),
        st.sampled_from([30.0, 3600.0]),
        st.sampled_from(["monday", "start"]),
        st.sampled_from(["steps", "lines"]),
    ),
)
events = st.lists(
    st.builds(Event, st.floats(0, 100), st.floats(1, 100), st.floats(0, 5), st.floats(0, 50)),
    max_size=2,
).map(tuple)


@st.composite
def descriptions(draw: st.DrawFn) -> Description:
    clients = draw(
        st.sampled_from([(), Clients(4, 1.0, 2), Clients(3, 0.0, None, 0.5, 0.5), (Client(0.4), Client(0.6))])
    )  # fmt: skip
    return Description(
        duration_s=draw(st.floats(120, 400)),
        rate=draw(rates),
        input=draw(lengths),
        output=draw(lengths),
        cached_fraction=draw(st.floats(0, 0.99)),
        start=draw(st.none() | st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))),
        seed=draw(st.integers(0, 2**40)),
        name=draw(st.text(max_size=8).filter(lambda name: name.isprintable())),
        growth_per_week_fraction=draw(st.floats(-0.5, 2)),
        events=draw(events),
        bursts=Bursts() if isinstance(clients, tuple) and clients else draw(bursts),
        clients=clients,
        rank_correlation=draw(st.floats(-1, 1)),
    )  # fmt: skip


@settings(max_examples=60)
@given(made=descriptions())
def test_any_description_is_read_from_what_is_written_of_it(made, tmp_path_factory) -> None:
    path = tmp_path_factory.mktemp("any") / "any.toml"
    path.write_text(description_text(made, head="a\nb"), encoding="utf-8")
    assert load_description(path) == made


def generated(described: Description) -> object:
    """The trace, or that nothing arrived."""
    if not len(arrivals.draw(described, replication=0).ticks):
        with pytest.raises(TraceError, match="nothing arrived"):
            generate(described)
        return None
    return generate(described)


@settings(max_examples=60)
@given(descriptions())
def test_any_description_gives_traffic_within_its_bounds(described: Description) -> None:
    trace = generated(described)
    if trace is None:
        return
    assert trace.span_s == pytest.approx(described.duration_s)
    for tokens, side in (
        (trace.input_tokens, described.input),
        (trace.output_tokens, described.output),
    ):
        assert side.min_tokens <= tokens.min() <= tokens.max() <= side.max_tokens


@settings(max_examples=30)
@given(descriptions(), st.integers(1, 50))
def test_whole_weeks_later_is_the_same(described: Description, weeks: int) -> None:
    described = replace(described, start=datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
    later = replace(described, start=described.start + timedelta(weeks=weeks))
    one, other = generated(described), generated(later)
    assert getattr(one, "sha256", None) == getattr(other, "sha256", None)


@settings(max_examples=30)
@given(descriptions(), st.floats(1.1, 4))
def test_a_higher_rate_brings_as_many_times_the_requests_expected(described, times) -> None:
    rate = described.rate
    if isinstance(rate, SteppedRate):
        more = replace(rate, rates_per_s=tuple(times * one for one in rate.rates_per_s))
    else:
        more = replace(rate, weekday_mean_per_s=times * rate.weekday_mean_per_s)
    expected = [replace(described, rate=one).clock().total for one in (rate, more)]
    assert expected[1] == pytest.approx(times * expected[0], abs=1e-9)


@settings(max_examples=30)
@given(descriptions())
def test_the_stream_of_lengths_does_not_know_of_their_kind(described: Description) -> None:
    """One more digit of the lengths changes no arrival."""
    one = generated(described)
    other = generated(replace(described, input=LogNormal(50.0, 0.5), output=LogNormal(9.0, 0.5)))
    if one is not None:
        assert (one.arrival_ticks == other.arrival_ticks).all()


# The file

GOOD = """
duration_s = 3600
start = 2026-11-16T08:00:00Z
source = "invented"
date = 2026-11-22
[rate]
per_s = [1, 2.5]
step_s = 1800
source = "invented"
[bursts]
gaps = "gamma"
cv = 2
on_mean_s = 10
off_mean_s = 100
on_to_off_ratio = 10
[clients]
n = 4
zipf_exponent = 1.2
[[event]]
name = "launch"
at = 2026-11-16T08:30:00Z
duration_s = 600
factor = 3
ramp_s = 60
[input]
quantile_fractions = [0, 0.5, 0.99]
quantile_tokens = [1, 100, 1000]
tail_index = 2
[output]
median_tokens = 100
sigma = 1
tail_fraction = 0.01
tail_index = 1.5
rank_correlation = 0.4
"""


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str], Description]:
    """Read a description from a text."""

    def described(text: str) -> Description:
        path = tmp_path / "rich.toml"
        path.write_text(text, encoding="utf-8")
        return load_description(path)

    return described


def test_every_table_is_read(described: Callable[[str], Description]) -> None:
    assert described(GOOD) == Description(
        3600,
        SteppedRate((1.0, 2.5), 1800),
        QuantileTable.with_tail((0.0, 0.5, 0.99), (1.0, 100.0, 1000.0), tail_index=2),
        LogNormal(100, 1, tail=ParetoTail(0.01, 1.5)),
        start=datetime(2026, 11, 16, 8, tzinfo=UTC),
        name="rich",
        events=(Event(1800.0, 600, 3, 60, "launch"),),
        bursts=Bursts(Renewal("gamma", 2), OnOff(10, 100, 10)),
        clients=Clients(4, 1.2),
        rank_correlation=0.4,
    )


CLIENTS = "[clients]\nn = 4\nzipf_exponent = 1.2\n"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("per_s = [1, 2.5]", "per_s = []", "rate.per_s holds no rate above 0"),
        ("per_s = [1, 2.5]", "per_s = [0, 0]", "rate.per_s holds no rate above 0"),
        ("per_s = [1, 2.5]", "per_s = [1, -2]", "rate.per_s holds -2.0 at place 1; must be >= 0"),
        ("per_s = [1, 2.5]", "per_s = [1, nan]", "rate.per_s holds nan at place 1"),
        ("per_s = [1, 2.5]", "per_s = [1, 'a']", "rate.per_s[1] is 'a'; must be a number"),
        ("per_s = [1, 2.5]", "per_s = 3", "rate.per_s is 3; must be a list of numbers"),
        ("per_s = [1, 2.5]", f"per_s = [{10**400}]", "rate.per_s[0] has 401 digits; must be smaller"),
        ("per_s = [1, 2.5]", "", "rate.per_s is missing"),
        ("step_s = 1800", "step_s = 0.1", "rate.step_s is 0.1; must be from 1"),
        ("step_s = 1800", "begins = 'tuesday'", "rate.begins is 'tuesday'; must be monday or start"),
        ("step_s = 1800", "between = 'curves'", "rate.between is 'curves'; must be steps or lines"),
        ("step_s = 1800", "peak_hour = 3", "rate.peak_hour is unknown; known are per_s, step_s"),
        ("step_s = 1800", "growth_per_week_fraction = -1", "growth_per_week_fraction is -1; must be above -1"),
        ("per_s = [1, 2.5]", "per_s = [1e9]", "about 4.92e+12 requests are described; must stay below 1,073,741,824"),
        ('gaps = "gamma"', 'gaps = "pareto"', "bursts.gaps is 'pareto'; must be poisson, gamma or weibull"),
        ('gaps = "gamma"', 'gaps = "poisson"', "bursts.cv is 2 and gaps is 'poisson', whose CV is 1"),
        ("cv = 2\n", "", "bursts.cv is missing"),
        ("cv = 2\n", "cv = 0\n", "bursts.cv is 0; must be from 0.05 to 50"),
        ("cv = 2\n", "cv = inf\n", "bursts.cv is inf; must be from 0.05 to 50"),
        ("on_mean_s = 10\n", "", "bursts.on_mean_s is missing"),
        ("on_mean_s = 10\n", "on_mean_s = -1\n", "bursts.on_mean_s is -1; must be from 0.001"),
        ("on_to_off_ratio = 10", "on_to_off_ratio = 1", "bursts.on_to_off_ratio is 1; must be above 1"),
        ("on_to_off_ratio = 10", "on_to_off_ratio = nan", "bursts.on_to_off_ratio is nan; must be above 1"),
        ("n = 4", "n = 0", "clients.n is 0; must be from 1 to 10000"),
        ("n = 4", "n = 4\nn_bursty = 5", "clients.n_bursty is 5; must be from 0 to n"),
        ("n = 4", "n = 4\ninput_sigma = 9", "clients.input_sigma is 9; must be from 0 to 5"),
        ("n = 4", "", "clients.n is missing"),
        (CLIENTS, CLIENTS + "[[client]]\nshare_fraction = 1\n", "[clients] and [[client]] are both there"),
        (CLIENTS, "[[client]]\nshare_fraction = 1\n", "[bursts] is there beside [[client]]; give each"),
        (CLIENTS, "[client]\nshare_fraction = 1\n", "client must be tables, each [[client]]"),
        (CLIENTS, "[[clients]]\nn = 1\n", "clients must be a table, [clients]"),
        (CLIENTS, "[[client]]\nshare_fraction = 0.4\n", "share_fraction of all clients adds up to 0.4; must be 1"),
        (CLIENTS, "[[client]]\nshare_fraction = 2\n", "client 1: share_fraction is 2; must be above 0"),
        (CLIENTS, "[[client]]\nshare_fraction = 1\ncv = 2\n", "client 1: cv is 2 and gaps is 'poisson'"),
        (CLIENTS, "[[client]]\nshare_fraction = 1\nsize = 2\n", "client 1: size is unknown; known are share"),
        (CLIENTS, "[[client]]\nshare_fraction = 1\ninput_factor = 0\n", "client 1: input_factor is 0; must"),
        ("factor = 3", "factor = -1", "event 1: factor is -1; must be from 0 to 10000"),
        ("factor = 3", "", "event 1: factor is missing"),
        ("at = 2026-11-16T08:30:00Z", "", "event 1: give at (a date and time) or at_s"),
        ("at = 2026-11-16T08:30:00Z", "at = 2026-11-16T07:30:00Z", "event 1: at is 2026-11-16 07:30:00+00:00, before"),
        ("at = 2026-11-16T08:30:00Z", "at = 2026-11-17", "event 'launch' begins at 57600 s; the recording ends at 3600 s"),
        ("at = 2026-11-16T08:30:00Z", "at_s = 5\nat = 2026-11-17", "event 1: give at (a date and time) or at_s"),
        ("start = 2026-11-16T08:00:00Z", "", "event 1: at is 2026-11-16 08:30:00+00:00, and the description has no start"),
        ("[0, 0.5, 0.99]", "[0, 0.5]", "input.quantile_fractions has 2 values and quantile_tokens 3"),
        ("[0, 0.5, 0.99]", "[0, 0.6, 0.5]", "input.quantile_fractions must increase"),
        ("[0, 0.5, 0.99]", "[0.1, 0.5, 0.99]", "input.quantile_fractions must begin with 0"),
        ("[0, 0.5, 0.99]", "[0, 0.5, 1]", "input.tail_index is there, and quantile_fractions must end"),
        ("[1, 100, 1000]", "[1, 100, 10]", "input.quantile_tokens must not decrease"),
        ("[1, 100, 1000]", "[1, 100, inf]", "input.quantile_tokens must be >= 0"),
        ("tail_index = 2", "tail_index = 0", "input.tail_index is 0; must be from 0.1 to 100"),
        ("tail_index = 2", "tail_fraction = 0.1", "input.tail_fraction is not for quantiles"),
        ("tail_fraction = 0.01", "", "output.tail_index and tail_fraction must be given together"),
        ("tail_fraction = 0.01", "tail_fraction = 0.9", "output.tail_fraction is 0.9; must be above 0"),
        ("rank_correlation = 0.4", "rank_correlation = 1.1", "rank_correlation is 1.1; must be from -1 to 1"),
        ('source = "invented"\ndate', "source = 3\ndate", "source is 3; must be a text"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named(
    described: Callable[[str], Description], old: str, new: str, text: str
) -> None:
    assert old in GOOD
    with pytest.raises(TraceError) as caught:
        generate(described(GOOD.replace(old, new, 1)))
    assert text in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_example_has_its_launch() -> None:
    """Three times the traffic on Wednesday from ten past three, which the day before has not."""
    described = load_description(EXAMPLES / "launch-week.toml")
    at_s = arrived_s(described)
    hours = np.histogram(at_s, np.arange(0, described.duration_s + 1, 3600))[0]
    wednesday = 2 * 24 + 16
    assert hours[wednesday] > 2 * hours[wednesday - 24]
    assert len(at_s) == pytest.approx(described.clock().total, rel=0.1)


def test_bursts_that_are_too_short_to_draw_are_refused() -> None:
    fast = replace(FLAT, duration_s=1e7, bursts=Bursts(STEADY, OnOff(0.001, 0.001, 2.0)))
    with pytest.raises(
        TraceError, match=r"about 1e\+10 changes in 1e\+07 s; must be below 20,000,000"
    ):
        generate(fast)
