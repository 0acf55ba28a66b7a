"""A recommendation: the answer, its neighbours, what it is compared with, what it says of itself, and its file."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from strategies import autoscalers, services, traces

from planner import artifacts
from planner.baselines import peak_minute_tokens_per_s
from planner.objective import Objective
from planner.offer import Offer, Tariff, make_offer
from planner.recommendation import MOST_FUTURES, Recommendation
from planner.recommendation import recommend as recommend_in_futures
from planner.rendering import report_of
from planner.search import Trial
from reports.html import render_html
from simulations.capacity import MAX_CHUNKS, ModelUnits, TokenChunks
from simulations.engine import simulate
from simulations.errors import InputError, ObjectiveError
from simulations.outcome import Limit, Outcome
from simulations.scenario import Admission, Autoscaler, Client, Overflow, Scenario, Service
from simulations.trace import Trace

CHUNK = 1200
SERVICE = Service(0.02, prefill_s=2e-5, max_sequences=4, per_chunk=True)
"""Four requests at a time, so about two a second of 500 tokens in and 100 out."""

SCALER = Autoscaler(start_delay_s=20.0)
PROMISE = Objective((Limit("ttft", 95, 2.0),), 0.01)
TARIFF = Tariff(usd_per_chunk_hour=4.0, input_price=0.5, output_price=1.5)


def half_an_hour() -> Trace:
    """Return a load that grows from 0.2 to 4.5 requests a second and falls again."""
    arrival, now = [], 0.0
    while now < 1800:
        arrival.append(round(now, 3))
        now += 1 / (0.2 + 4.3 * max(0.0, 1 - abs(now - 900) / 450))
    n = len(arrival)
    return Trace.build(arrival, [500] * n, [100] * n, span_s=1800)


def recommend(*given, **more) -> Recommendation:
    """Return what is recommended on the recording itself, unless told otherwise."""
    return recommend_in_futures(*given, **({"futures": 1, "sensitivity": False} | more))


def outcome_of(trial: Trial) -> Outcome:
    """Return what was seen of a range that was run once."""
    (outcome,) = trial.evidence.outcomes.values()
    return outcome


def offer_of_chunks(**more) -> Offer:
    given = {"chunk_tokens_per_s": CHUNK, "service": SERVICE, "tariff": TARIFF} | more
    return make_offer("ml.own.model", **given)


@cache
def example() -> Recommendation:
    return recommend(
        half_an_hour(),
        offer_of_chunks(),
        PROMISE,
        autoscaler=SCALER,
        current=(1, 2),
        endpoint="chat",
    )


def file_of(made: Recommendation, *, created_at: str = "2026-11-22T10:00:00+00:00"):
    """Return the data of a recommendation's file."""
    workload = artifacts.Workload("log.csv", "ab" * 32, "vidur", {"no arrival": 2}, ("A note.",))
    return artifacts.artifact(
        made, workload, command="ptplan recommend log.csv", created_at=created_at, version="0.1.0"
    )


@st.composite
def recommendations(draw: st.DrawFn) -> Recommendation:
    """What is recommended for a few requests, an endpoint of at most 4 chunks and any promise."""
    trace = draw(traces(max_requests=25))
    assume(trace.span_ticks > 0)
    service = replace(draw(services()), kv_tokens=None, context_limit_tokens=None, per_chunk=True)
    metric = draw(st.sampled_from(["ttft", "tpot", "e2e"]))
    limit = Limit(
        metric, draw(st.sampled_from([50, 90, 99])), draw(st.sampled_from([0.005, 0.02, 0.1]))
    )
    return recommend(
        trace,
        offer_of_chunks(service=service, chunk_tokens_per_s=draw(st.integers(1, 20_000))),
        Objective((limit,), draw(st.sampled_from([0.0, 0.01, 0.2]))),
        autoscaler=draw(autoscalers()),
        admission=Admission(queue_limit=draw(st.integers(1, 5))),
        client=Client(backoff_s=0.002, jitter_s=0.001),
        limit_chunks=4,
        allow_zero=draw(st.booleans()),
    )


few_draws = settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


# Its timeline


def test_the_busiest_day_is_the_day_with_the_most_load_in_five_minutes_and_its_events():
    """Three days with a request of a token every five minutes; the load comes from 30 h to 40 h."""
    hour = 3600.0
    quiet, busy = np.arange(0, 72 * hour, 300), np.linspace(30 * hour, 40 * hour, 2000)
    arrival = np.concatenate([quiet, busy])
    tokens = np.repeat([1, 500], [len(quiet), len(busy)])
    order = np.argsort(arrival, kind="stable")
    trace = Trace.build(arrival[order], tokens[order], np.minimum(tokens, 100)[order])
    made = recommend(trace, offer_of_chunks(), PROMISE, autoscaler=SCALER, endpoint="chat")
    timeline = file_of(made)["timeline"]
    day = timeline["busiest_day"]
    assert np.diff(day["t_s"]).tolist() == [300.0] * 287
    assert day["t_s"][0] % hour == 0
    assert 16 * hour <= day["t_s"][0] <= 30 * hour
    assert {len(day[key]) for key in day} == {288}
    load = np.asarray(day["offered_tokens_per_s"])
    assert load.sum() * 300 == pytest.approx(2000 * 600 + 288 * 2, rel=1e-4)
    within = report_of(file_of(made)).busiest_day
    assert within is not None
    events = [e for e in timeline["events"] if 0 <= e["t_s"] - day["t_s"][0] < 24 * hour]
    assert sum(map(len, (within.started_s, within.released_s))) == sum(
        e["what"] in ("started", "released") for e in events
    )
    short = recommend(half_an_hour(), offer_of_chunks(), PROMISE, autoscaler=SCALER)
    assert "busiest_day" not in file_of(short)["timeline"]


# The answer and its neighbours


def test_the_answer_scales_and_is_the_cheapest_of_all_tried():
    made = example()
    assert made.feasible
    assert made.capacity == TokenChunks(CHUNK, 1, 3)
    assert made.found.proved
    columns = ["min_chunks", "max_chunks", "chosen", "feasible", "why"]
    assert made.alternatives()[columns].to_numpy().tolist() == [
        [1, 1, False, False, "25.5 % within TTFT 2 s, 95 % promised"],
        [1, 2, False, False, "78.2 % within TTFT 2 s, 95 % promised"],
        [1, 3, True, True, "the cheapest that keeps the promise"],
        [1, 4, False, True, "keeps the promise, costs the same"],
        [1, 5, False, True, "keeps the promise, costs the same"],
        [2, 2, False, False, "78.2 % within TTFT 2 s, 95 % promised"],
        [2, 3, False, True, "keeps the promise, costs more"],
        [3, 3, False, True, "keeps the promise, costs more"],
    ]


@pytest.mark.parametrize("high", [3, 4, 5])
def test_at_equal_cost_what_runs_now_stays(high):
    """1..3, 1..4 and 1..5 cost the same here."""
    made = recommend(
        half_an_hour(), offer_of_chunks(), PROMISE, autoscaler=SCALER, current=(1, high)
    )
    assert made.capacity == TokenChunks(CHUNK, 1, high)


def test_the_reasons_say_what_scaling_saves_and_why_nothing_cheaper_will_do():
    assert list(example().reasons) == [
        "A fixed 3 chunks is the smallest fixed size that keeps the promise; letting it scale saves 44.3 % of "
        "the chunk-hours.",
        "The next cheaper, 1 to 2 chunks, fails, with 78.2 % within TTFT 2 s, 95 % promised, most of it from 15 min "
        "after the start, with a minute of 3.3 times the mean load.",
        "Every range up to 5 chunks was tried or costs more.",
    ]


@few_draws
@given(recommendations())
def test_the_next_cheaper_is_the_dearest_that_fails_and_fails_as_it_says(made):
    key = made.chosen.key
    cheaper = [t for t in made.found.trials if t.key < key and not t.verdict.holds]
    near = made.next_cheaper
    event(f"there is one: {near is not None}")
    if near is None:
        assert not made.feasible or not cheaper
        return
    assert made.feasible
    assert near.trial == max(cheaper, key=lambda trial: trial.key)
    rerun = simulate(
        made.trace,
        replace(
            made.scenario,
            capacity=made.offer.capacity(near.trial.min_chunks, near.trial.max_chunks),
            start_chunks=None,
        ),
    )
    requests = rerun.requests()
    refused = requests["status"].astype(str).str.startswith("refused")
    (limit,) = made.objective.limits
    if near.miss.limit == "max_refused_fraction":
        missed = refused
        assert near.miss.attained == missed.mean() > made.objective.max_refused_fraction
    else:
        applies = requests["output_tokens"] >= 2 if limit.metric == "tpot" else requests.index >= 0
        missed = applies & ~(requests[f"{limit.metric}_s"] <= limit.seconds)
        assert near.miss.limit == limit.key
        assert near.miss.attained == pytest.approx(1 - missed.sum() / applies.sum())
        assert near.miss.attained < limit.percentile / 100
    assert near.miss.by > 0
    after = requests["arrival_s"] - near.when_s
    assert (missed & (after > -1e-9) & (after < made.trace.span_s / 60 + 1e-9)).any()


@few_draws
@given(recommendations())
def test_the_next_safer_is_the_cheapest_dearer_one_with_more_to_spare(made):
    def kept(trial):
        return outcome_of(trial).attainment["all"].within

    safer = [
        trial
        for trial in made.found.trials
        if made.feasible
        and trial.verdict.holds
        and trial.key > made.chosen.key
        and kept(trial) > kept(made.chosen)
    ]
    event(f"there is one: {bool(safer)}")
    if safer:
        assert made.next_safer.trial == min(safer, key=lambda trial: trial.key)
    else:
        assert made.next_safer is None


@few_draws
@given(recommendations())
def test_every_range_tried_is_in_table_and_file_alike(made):
    table, written = made.alternatives(), file_of(made)["alternatives"]
    assert len(table) == len(written) == len(made.found.trials)
    assert table["chosen"].sum() == sum(row["chosen"] for row in written) == 1
    for row, expected in zip(table.to_dict("records"), written, strict=True):
        figures = dict(expected["outcome"])
        del figures["attainment_unspilled"]
        for key, share in figures.pop("attainment").items():
            assert row.pop(f"attainment_{key}") == share
        assert row.pop("min_chunks") == expected["capacity"]["min_chunks"]
        assert row.pop("max_chunks") == expected["capacity"]["max_chunks"]
        assert row.pop("futures") == expected["held_in"]["futures"] == 1
        for key in ("chosen", "feasible", "why"):
            assert row.pop(key) == expected[key]
        assert {k: None if v is None or v != v else v for k, v in row.items()} == figures


def test_it_reads_well_in_a_terminal_and_in_a_notebook():
    made = example()
    line = "1..3 chunks (1,200..3,600 tokens/s): 4,883 USD a month; keeps the promise; one future, no interval"
    assert repr(made) == f"Recommendation({line})"
    assert made._repr_html_().startswith(f"<p><b>Recommendation({line})</b></p><ul><li>A fixed 3")


# What it is compared with


@given(
    st.lists(st.tuples(st.integers(0, 400), st.integers(1, 99), st.integers(0, 99)), min_size=1),
    st.integers(0, 90),
)
def test_the_peak_minute_is_the_fullest_of_the_full_minutes(rows, silence_s):
    """What comes after the last full minute does not count, unless there is no full one."""
    trace = Trace.build(*zip(*rows, strict=True), span_s=0)
    first = min(at_s for at_s, _, _ in rows)
    span_s = max(at_s for at_s, _, _ in rows) - first + silence_s
    trace = replace(trace, span_ticks=span_s * 10**11)
    if span_s < 60:
        expected = sum(i + o for _, i, o in rows) / max(span_s, 1)
    else:
        expected = max(
            sum(i + o for at_s, i, o in rows if minute * 60 <= at_s - first < (minute + 1) * 60)
            for minute in range(span_s // 60)
        )
        expected /= 60
    event("full minutes" if span_s >= 60 else "none")
    assert peak_minute_tokens_per_s(trace) == pytest.approx(expected)


def test_baselines_are_judged_on_the_same_traffic():
    made = example()
    rows = {row.name: row for row in made.baselines}
    assert list(rows) == [
        "peak-minute arithmetic",
        "documentation's sample",
        "current configuration",
        "fixed at the maximum",
        "hybrid with spill",
        "pay-per-token",
    ]
    assert rows["peak-minute arithmetic"].capacity == TokenChunks(CHUNK, 3, 3)
    assert rows["documentation's sample"].capacity == TokenChunks(CHUNK, 2, 3)
    assert rows["current configuration"].capacity == TokenChunks(CHUNK, 1, 2)
    assert rows["fixed at the maximum"].capacity == TokenChunks(CHUNK, 3, 3)
    tried = {(trial.min_chunks, trial.max_chunks): trial for trial in made.found.trials}
    for name, place in (
        ("peak-minute arithmetic", (3, 3)),
        ("documentation's sample", (2, 3)),
        ("current configuration", (1, 2)),
        ("fixed at the maximum", (3, 3)),
    ):
        assert rows[name].figures == tried[place].figures
        assert rows[name].holds == tried[place].verdict.holds
        assert rows[name].usd_per_month == tried[place].usd_per_month
    n = len(made.trace)
    in_half_an_hour = n * 500 / 1e6 * 0.5 + n * 100 / 1e6 * 1.5
    assert rows["pay-per-token"].usd_per_month == pytest.approx(in_half_an_hour * 2 * 730)
    assert rows["pay-per-token"].figures is None


def test_arithmetic_that_asks_for_more_than_can_be_had_is_only_told():
    """A chunk of 1 token/s would need thousands of them; the recommendation must not fail over it."""
    trace = Trace.build([0.0, 60.0], [300_000, 1], [10, 10])
    made = recommend(
        trace, offer_of_chunks(chunk_tokens_per_s=1), Objective((Limit("e2e", 50, 60.0),), 1.0)
    )
    row = made.baselines[0]
    assert (row.name, row.capacity, row.figures) == ("peak-minute arithmetic", None, None)
    assert row.note == "5,001 chunks, too many to simulate"
    assert MAX_CHUNKS < 5001


# What it says of itself


def test_one_future_a_short_trace_and_a_default_promise_are_said_plainly():
    trace = Trace.build([0.0, 5.0, 9.0], [100] * 3, [20] * 3)
    warnings = recommend(trace, offer_of_chunks()).warnings
    assert warnings[:4] == (
        "judged on one future, the trace itself: no interval, and no statement on other days",
        "3 requests leave 0.15 beyond p95 of TTFT: the trace is too short for this percentile; "
        "take at least 200 requests",
        "3 requests are too few to tell 0.1 % refused from none",
        "the trace spans 9 s, less than a day: the minimum is for this load level only, and the month is as if "
        "every hour looked like this",
    )
    assert (
        "no promise was given, so this one is taken: at least 95 % of arrived requests have their first token "
        "within 2 s of their first attempt; at most 0.1 % are refused for good. Refused requests count as never."
    ) in warnings


@pytest.mark.parametrize(
    ("days", "words"),
    [(0.5, "less than a day"), (3, "less than a week"), (7, None)],
)
def test_a_month_made_of_less_than_a_week_is_said_to_be(days, words):
    trace = Trace.build([0.0, 1.0], [10, 10], [5, 5], span_s=days * 86_400)
    warned = [line for line in recommend(trace, offer_of_chunks()).warnings if "spans" in line]
    assert [words in line for line in warned] == ([True] if words else [])


def test_more_than_200_requests_a_second_are_warned_about():
    def warned(n: int) -> bool:
        trace = Trace.build([0.0] * n + [60.0], [10] * (n + 1), [1] * (n + 1))
        lines = recommend(trace, offer_of_chunks(), Objective((), 1.0), limit_chunks=1).warnings
        return any(f"the peak of {n} queries/s is above" in line for line in lines)

    assert [warned(200), warned(201)] == [False, True]


def test_requests_that_fit_no_range_are_counted():
    service = replace(SERVICE, context_limit_tokens=1000)
    trace = Trace.build([0.0, 1.0, 2.0, 60.0], [10, 2000, 10, 10], [5] * 4)
    made = recommend(trace, offer_of_chunks(service=service), Objective((), 0.25))
    assert made.feasible
    assert (
        "1 request of 4 do not fit the model (1,000 tokens of context or KV memory) and are refused by any range"
    ) in made.warnings


def test_a_trace_with_a_date_says_when_the_next_cheaper_fails():
    epoch_ns = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 10**9
    made = recommend(
        replace(half_an_hour(), epoch_ns=epoch_ns), offer_of_chunks(), PROMISE, autoscaler=SCALER
    )
    assert made.next_cheaper.when == (
        "2026-03-01 12:15 in the log's clock, with a minute of 3.3 times the mean load"
    )


def test_every_assumption_has_a_source():
    assert [row.name for row in example().assumptions if not row.source] == []


# Refusals


@pytest.mark.parametrize("n", [0, -1, MOST_FUTURES + 1])
def test_a_number_of_futures_out_of_its_range_is_refused(n):
    with pytest.raises(
        ObjectiveError, match=f"futures is {n}; must be between 1 and {MOST_FUTURES}"
    ):
        recommend(half_an_hour(), offer_of_chunks(), futures=n)


@pytest.mark.parametrize("n", [1, 7])
def test_a_trace_that_spans_no_time_is_refused(n):
    trace = Trace.build([3.0] * n, [10] * n, [5] * n)
    with pytest.raises(ObjectiveError, match="the trace spans no time"):
        recommend(trace, offer_of_chunks())


def test_a_current_configuration_that_is_none_is_refused():
    with pytest.raises(InputError, match="min chunks is 3 and max chunks is 2"):
        recommend(half_an_hour(), offer_of_chunks(), PROMISE, current=(3, 2))


def test_model_units_that_would_scale_are_refused():
    offer = offer_of_chunks(chunk_tokens_per_s=None, unit_step=50, tokens_per_s_per_step=CHUNK)
    with pytest.raises(
        InputError, match=r"the range is 1\.\.3 steps, and model units do not scale"
    ):
        recommend(half_an_hour(), offer, PROMISE, current=(1, 3))


def test_a_negative_start_is_refused():
    with pytest.raises(InputError, match="start_chunks is -1; must be >= 0"):
        recommend(half_an_hour(), offer_of_chunks(), PROMISE, start_chunks=-1)


# Other ways to be sold, and other policies


def test_model_units_are_fixed_and_whole_steps():
    trace = Trace.build(np.arange(600) / 2, [3500] * 600, [300] * 600)
    made = recommend(trace, make_offer("system.ai.llama-4-maverick"), PROMISE, endpoint="chat")
    assert made.feasible
    assert isinstance(made.capacity, ModelUnits)
    assert all(trial.min_chunks == trial.max_chunks for trial in made.found.trials)
    assert len(made.found.trials) > 1
    entity = made.request.body["config"]["served_entities"][0]
    assert entity["provisioned_model_units"] == made.capacity.units
    assert made.capacity.units % 50 == 0
    assert entity["burst_scaling_enabled"] is False
    assert "documentation's sample" not in [row.name for row in made.baselines]


def test_spilled_tokens_count_where_their_price_is_known():
    """Spilling keeps the promise, so one chunk would do, were it not for what the spilled tokens cost."""

    def answer(tariff: Tariff) -> Recommendation:
        return recommend(
            half_an_hour(),
            offer_of_chunks(tariff=tariff),
            Objective((Limit("ttft", 95, 3.0),), 0.01),
            autoscaler=SCALER,
            admission=Admission(queue_limit=1),
            overflow=Overflow("spill"),
        )

    blind, seeing = answer(replace(TARIFF, input_price=None)), answer(TARIFF)
    assert blind.capacity == TokenChunks(CHUNK, 1, 1)
    assert blind.chosen.usd_per_month is None
    spilling = replace(TARIFF, input_price=50.0, output_price=150.0)
    dear = answer(spilling)
    assert dear.capacity != blind.capacity
    for made in (seeing, dear):
        money = [outcome_of(trial).usd_per_hour for trial in made.found.trials]
        assert made.found.proved
        assert money == sorted(money) == [trial.cost for trial in made.found.trials]
        kept = [outcome_of(t).usd_per_hour for t in made.found.trials if t.verdict.holds]
        assert outcome_of(made.chosen).usd_per_hour == min(kept)
    assert outcome_of(dear.chosen).spilled < outcome_of(blind.chosen).spilled


def test_it_scales_to_zero_only_when_allowed():
    """Two requests an hour apart: nothing is needed in between."""
    trace = Trace.build([0.0, 3600.0], [100, 100], [10, 10])
    scaler = Autoscaler(start_delay_s=1.0, idle_to_zero_s=60.0)
    never, allowed = (
        recommend(trace, offer_of_chunks(), PROMISE, autoscaler=scaler, allow_zero=allow)
        for allow in (False, True)
    )
    assert min(trial.min_chunks for trial in never.found.trials) == 1
    assert never.capacity == TokenChunks(CHUNK, 1, 1)
    assert allowed.capacity == TokenChunks(CHUNK, 0, 1)
    assert allowed.request.body["config"]["served_entities"][0]["min_provisioned_throughput"] == 0
    assert outcome_of(allowed.chosen).bill.chunk_hours < 0.2


def test_a_fixed_autoscaler_gets_a_fixed_range():
    made = recommend(
        half_an_hour(), offer_of_chunks(), PROMISE, autoscaler=replace(SCALER, preset="fixed")
    )
    assert made.capacity == TokenChunks(CHUNK, 3, 3)
    assert all(trial.min_chunks == trial.max_chunks for trial in made.found.trials)
    assert [row.name for row in made.baselines] == [
        "peak-minute arithmetic",
        "hybrid with spill",
        "pay-per-token",
    ]


@pytest.mark.parametrize("promised_s", [0.01, 1e-6])
def test_a_promise_that_no_range_keeps_gives_the_nearest_miss(promised_s):
    limit = Limit("ttft", 95, promised_s)
    made = recommend(half_an_hour(), offer_of_chunks(), Objective((limit,)), autoscaler=SCALER)
    assert not made.feasible
    assert made.found.best is None
    assert made.chosen == made.found.nearest_miss
    assert made.next_cheaper is made.next_safer is None
    assert made.reasons[0].startswith("No range keeps the promise: ")
    assert made.reasons[1].startswith("Nearest is ")
    data = file_of(made)
    assert (data["feasible"], data["held_in"]["successes"]) == (False, 0)
    assert data["next_cheaper"] is data["next_safer"] is None
    report = report_of(data)
    assert not report.decision.feasible
    assert report.request is None


# Its file


def test_the_same_seed_gives_the_same_file_but_for_the_time():
    """Retries with jitter and starts of uneven length draw from the seed, and from nothing else."""

    def data(seed: int, created_at: str):
        made = recommend(
            half_an_hour(),
            offer_of_chunks(),
            PROMISE,
            autoscaler=replace(SCALER, start_spread_s=30.0),
            limit_chunks=3,
            seed=seed,
        )
        return file_of(made, created_at=created_at)

    first, second, other = data(1, "2026-11-22"), data(1, "2026-11-23"), data(2, "2026-11-22")
    differing = {key for key in first if first[key] != second[key]}
    assert differing == {"created_at", "sha256"}
    assert first["alternatives"] != other["alternatives"]


def finite(name: str):
    raise AssertionError(f"{name} is no JSON")


@few_draws
@given(recommendations())
def test_every_file_is_plain_finite_json_and_is_read_back_as_written(made):
    data = file_of(made)
    text = artifacts.to_json(data)
    again = json.loads(text, parse_constant=finite)
    assert again == json.loads(json.dumps(data, default=lambda value: value.item()))
    assert again.pop("sha256") == artifacts.checksum(again)


def test_a_number_that_is_not_finite_is_never_written():
    with pytest.raises(ValueError, match="JSON"):
        artifacts.to_json({"cost": float("nan")})


def test_a_name_that_is_no_text_is_written_and_read_back(tmp_path):
    data = file_of(example()) | {"endpoint": "\udcff\n\x1b[2J"}
    del data["sha256"]
    data["sha256"] = artifacts.checksum(data)
    artifacts.write(tmp_path / "r.json", artifacts.to_json(data))
    assert artifacts.read(tmp_path / "r.json")["endpoint"] == "\udcff\n\x1b[2J"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("out") / "recommendation.json"
    artifacts.write(path, artifacts.to_json(file_of(example())))
    return path


def test_a_report_is_drawn_from_the_file_alone(written):
    data = artifacts.read(written)
    assert report_of(data) == report_of(json.loads(artifacts.to_json(file_of(example()))))
    page = render_html(report_of(data))
    assert "1,200 to 3,600" in page
    assert "The next cheaper, 1 to 2 chunks, fails" in page.replace("\N{NO-BREAK SPACE}", " ")


@given(st.data())
@settings(
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_a_changed_byte_is_found_out(written, tmp_path, data):
    text = written.read_text(encoding="utf-8")
    place = data.draw(st.integers(0, len(text) - 1))
    changed = text[:place] + data.draw(st.sampled_from("0127ax")) + text[place + 1 :]
    path = tmp_path / "changed.json"
    path.write_text(changed, encoding="utf-8")
    try:
        same = json.loads(changed) == json.loads(text)
    except ValueError:
        same = False
    if same:
        assert artifacts.read(path) == artifacts.read(written)
    else:
        with pytest.raises(InputError, match=r"make it anew|not JSON|not a recommendation"):
            artifacts.read(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("[1]", "is not a recommendation"),
        ('{"schema_version": 1}', "is not a recommendation"),
        ('{"schema_version": 2, "capacity": {}}', "schema version 2, and this ptplan reads 1"),
        ('{"schema_version": 1, "capacity": {}}', "was changed after it was written"),
    ],
)
def test_what_is_no_recommendation_of_ours_is_refused(tmp_path, text, complaint):
    path = tmp_path / "r.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=complaint):
        artifacts.read(path)


def test_a_number_made_infinite_is_found_out(written, tmp_path):
    """1e-05 with another digit in place of the sign is more than a float holds."""
    text = written.read_text(encoding="utf-8")
    path = tmp_path / "r.json"
    path.write_text(text.replace("e-05", "e705"), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != text
    with pytest.raises(InputError, match="was changed after it was written"):
        artifacts.read(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        artifacts.read(tmp_path / "r.json")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "r.json"
    artifacts.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        artifacts.write(path, "new, and then what UTF-8 cannot hold: \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_belong_together_are_written_together(tmp_path):
    data, page = tmp_path / "r.json", tmp_path / "page.html"
    artifacts.write(data, "old")
    page.mkdir()
    with pytest.raises(InputError, match=r"page\.html cannot be written: Is a directory"):
        artifacts.write_together({data: "new", page: "new"})
    assert data.read_text() == "old"
    page.rmdir()
    artifacts.write_together({data: "new", page: "new"})
    assert (data.read_text(), page.read_text()) == ("new", "new")
    assert sorted(tmp_path.iterdir()) == sorted([data, page])


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="cannot be written: Not a directory"):
            artifacts.require_writable(path)
    artifacts.require_writable(tmp_path / "not" / "there" / "yet")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# The names that users' scripts rely on

FIGURE = {"value", "low", "high", "p05", "p95"}
LATENCIES = {
    f"{metric}_p{percent}_s{suffix}"
    for metric in ("ttft", "tpot", "e2e")
    for percent in (50, 90, 95, 99)
    for suffix in ("", "_completed")
}
FIGURES = {
    "refused_fraction",
    "utilisation",
    "mean_chunks",
    "chunk_hours",
    "scale_ups_per_day",
    "time_at_max_fraction",
    "usd_per_hour",
    "usd_per_month",
    "usd_per_million_tokens",
    *LATENCIES,
}
TOP = {
    *("schema_version", "ptplan_version", "created_at", "command", "inputs", "scenario"),
    *("objective", "capacity", "request", "outcome", "held_in", "confidence", "search"),
    *("alternatives", "next_cheaper", "next_safer", "baselines", "timeline"),
    *("sensitivity", "break_even", "reasons", "warnings", "assumptions"),
}
INSIDE = {
    "inputs": {"workload", "model", "seed", "futures", "growth"},
    "scenario": {"service", "autoscaler", "client", "overflow"},
    "objective": {"ttft_p95_s", "max_refused_fraction", "hold_in_fraction", "definition"},
    "capacity": {
        *("kind", "chunk_tokens_per_s", "chunk_source", "min_chunks", "max_chunks"),
        *("min_provisioned_throughput", "max_provisioned_throughput"),
    },
    "request": {"ready", "missing", "method", "path", "body"},
    "outcome": {"attainment", *FIGURES},
    "held_in": {"successes", "futures", "low"},
    "next_cheaper": {"capacity", "failed_limit", "by", "when"},
    "next_safer": {"capacity", "usd_per_month"},
    "timeline": {"t_s", "offered_tokens_per_s", "ready_chunks", "refused", "events"},
}
IN_ROWS = {
    "alternatives": {"capacity", "outcome", "feasible", "why"},
    "baselines": {"name", "capacity", "outcome", "usd_per_month"},
    "assumptions": {"name", "value", "source", "date", "assumed"},
}
WORKLOAD = {"path", "sha256", "format", "requests", "span_s", "dropped"}


def test_the_file_has_the_promised_names():
    data = file_of(example())
    assert data.keys() >= TOP
    for name, names in INSIDE.items():
        assert data[name].keys() >= names
    for name, names in IN_ROWS.items():
        assert data[name]
        assert all(row.keys() >= names for row in data[name])
    assert data["inputs"]["workload"].keys() == WORKLOAD
    assert data["load_by_hour_of_week"] is None, "half an hour is no week"
    assert isinstance(data["break_even"], list)
    outcome = data["outcome"]
    for figure in (*(outcome[name] for name in FIGURES), *outcome["attainment"].values()):
        assert figure.keys() >= FIGURE
    assert outcome["attainment"].keys() == {"all", "ttft_p95_s"}
    assert outcome["usd_per_month"]["extrapolated"] is True
    assert all(row["outcome"].keys() >= FIGURES for row in data["alternatives"])


def test_the_file_of_model_units_has_the_promised_names():
    offer = offer_of_chunks(chunk_tokens_per_s=None, unit_step=50, tokens_per_s_per_step=CHUNK)
    data = file_of(recommend(half_an_hour(), offer, PROMISE))
    assert data["capacity"].keys() >= {
        *("kind", "unit_step", "provisioned_model_units", "burst_scaling_enabled", "chunk_source")
    }
    assert (data["capacity"]["kind"], data["capacity"]["provisioned_model_units"]) == (
        "model_units",
        150,
    )


def test_what_the_file_says_of_its_inputs_is_what_went_in():
    data = file_of(example())
    assert data["inputs"] == {
        "workload": {
            "path": "log.csv",
            "sha256": "ab" * 32,
            "format": "vidur",
            "requests": 2295,
            "span_s": 1800.0,
            "dropped": {"no arrival": 2},
        },
        "model": "ml.own.model",
        "model_version": None,
        "seed": 0,
        "futures": 1,
        "growth": 1.0,
        "input_factor": 1.0,
        "output_factor": 1.0,
    }
    assert data["warnings"][0] == "A note."
    assert data["scenario"]["autoscaler"]["start_delay_s"] == 20.0
    assert data["scenario"]["service"]["max_sequences"] == 4
    assert (data["search"], data["confidence"]) == ("proved", "one future, no interval")


def test_the_timeline_of_the_file_shows_the_scaling():
    timeline = file_of(example())["timeline"]
    columns = {name: timeline[name] for name in ("t_s", "offered_tokens_per_s", "ready_chunks")}
    assert len({len(column) for column in columns.values()}) == 1
    assert {min(columns["ready_chunks"]), max(columns["ready_chunks"])} == {1.0, 3.0}
    happened = [(event["what"], event["chunk"]) for event in timeline["events"]]
    assert [what for what, _ in happened].count("started") == 2
    assert ("ready", 2) in happened
    assert timeline["events_left_out"] == 0


def test_a_scenario_read_back_from_a_file_gives_the_same_run():
    """Every number used is in the file: the same figures come out of what it says alone."""
    data = json.loads(artifacts.to_json(file_of(example())))
    kept = data["scenario"]
    scenario = Scenario(
        Service(**kept["service"]),
        TokenChunks(CHUNK, data["capacity"]["min_chunks"], data["capacity"]["max_chunks"]),
        Autoscaler(**kept["autoscaler"]),
        Admission(**kept["admission"]),
        Client(**kept["client"]),
        Overflow(**kept["overflow"]),
        start_chunks=kept["start_chunks"],
        seed=data["inputs"]["seed"],
    )
    again, before = simulate(half_an_hour(), scenario), example().run
    np.testing.assert_array_equal(again.trail.requests, before.trail.requests)
    np.testing.assert_array_equal(again.trail.launches, before.trail.launches)
