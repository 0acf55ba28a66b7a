"""Files of load generators: what real tools wrote is read as they meant it, all else is refused by name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from simulations.errors import MeasurementError
from simulations.fit import MeasuredLevel, MeasuredRun, load_measurements
from simulations.trace import Shape

MEASURED = Path(__file__).parent / "measured"


def unpacked(name: str) -> str:
    return gzip.decompress((MEASURED / name).read_bytes()).decode()


def written(folder: Path, text: str, name: str = "no-name-tells") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def only(path: Path, **more) -> MeasuredRun | MeasuredLevel:
    (one,) = load_measurements(path, **more)
    return one


# What real tools wrote


def test_aiperf_records_are_a_run():
    run = only(MEASURED / "aiperf-rate6.jsonl.gz")
    assert isinstance(run, MeasuredRun)
    assert (len(run), run.loop, run.n_failed) == (40, "open", 0)
    summary = json.loads(unpacked("aiperf-rate6.json.gz"))
    # Its own summary is met: the definitions are ours.
    for ours, theirs in (
        (run.ttft_s, "time_to_first_token"),
        (run.e2e_s, "request_latency"),
        (run.tpot_s, "inter_token_latency"),
    ):
        assert np.mean(ours) * 1e3 == pytest.approx(summary[theirs]["avg"], rel=1e-6)
    assert run.input_tokens.mean() == pytest.approx(summary["input_sequence_length"]["avg"])


def test_aiperf_summaries_are_levels_of_a_rate_or_of_users():
    rate, users = only(MEASURED / "aiperf-rate6.json.gz"), only(MEASURED / "aiperf-users4.json.gz")
    assert isinstance(rate, MeasuredLevel)
    assert isinstance(users, MeasuredLevel)
    assert (rate.rate_per_s, rate.users, rate.n) == (6.0, None, 40)
    assert (users.rate_per_s, users.users, str(users.shape)) == (None, 4, "120:20")
    assert users.origin.version == "0.13.0"
    run = only(MEASURED / "aiperf-users4.jsonl.gz")
    assert isinstance(run, MeasuredRun)
    assert users.figures["e2e_mean"] == pytest.approx(run.e2e_s.mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("name", "n", "loop", "users"),
    [("guidellm-replay.json.gz", 29, "open", None), ("guidellm-users3.json.gz", 24, "closed", 3)],
)
def test_guidellm_means_something_else_by_time_per_output_token(name, n, loop, users):
    run = only(MEASURED / name)
    assert isinstance(run, MeasuredRun)
    assert (len(run), run.loop, run.users, run.origin.version) == (n, loop, users, "0.8.1")
    theirs = json.loads(unpacked(name))["benchmarks"][0]["metrics"]

    def mean(metric: str) -> float:
        return theirs[metric]["successful"]["mean"]

    assert run.ttft_s.mean() * 1e3 == pytest.approx(mean("time_to_first_token_ms"), rel=1e-6)
    # Its latency goes to the end of the stream, ours to the last token.
    assert 0.97 * mean("request_latency") < run.e2e_s.mean() <= mean("request_latency")
    # Its inter-token latency is everybody's time per output token; its own includes the first.
    each = [
        row["inter_token_latency_ms"]
        for row in json.loads(unpacked(name))["benchmarks"][0]["requests"]["successful"]
    ]
    np.testing.assert_allclose(np.sort(run.tpot_s) * 1e3, np.sort(each), rtol=1e-4)
    for row in json.loads(unpacked(name))["benchmarks"][0]["requests"]["successful"]:
        n = row["output_tokens"]
        whole_ms = row["time_to_first_token_ms"] + (n - 1) * row["inter_token_latency_ms"]
        assert row["time_per_output_token_ms"] * n == pytest.approx(whole_ms, rel=1e-4)


@pytest.mark.parametrize("name", ["locust-stats.csv", "locust-history.csv"])
def test_locust_has_latencies_alone_and_asks_for_the_shape(name):
    with pytest.raises(MeasurementError, match=r"latencies without tokens.*--request-shape"):
        load_measurements(MEASURED / name)


def test_locust_is_a_level_of_whole_answers_once_its_shape_is_said():
    shape = Shape(60, 16)
    stats = only(MEASURED / "locust-stats.csv", shape=shape, users=3)
    history = only(MEASURED / "locust-history.csv", shape=shape)
    assert isinstance(stats, MeasuredLevel)
    assert isinstance(history, MeasuredLevel)
    assert (stats.users, stats.n, stats.shape) == (3, 183, shape)
    assert history.users == 3
    assert set(stats.figures) == {"e2e_mean", "e2e_p50", "e2e_p90", "e2e_p95", "e2e_p99"}
    assert stats.figures["e2e_mean"] == pytest.approx(0.08119853, rel=1e-6)
    assert history.figures["e2e_mean"] == pytest.approx(stats.figures["e2e_mean"], rel=0.15)
    assert "prefill_s" in stats.notes[0]  # what it cannot tell
    with pytest.raises(MeasurementError, match="how many users there were; give --users"):
        load_measurements(MEASURED / "locust-stats.csv", shape=shape)


LOCUST = (MEASURED / "locust-stats.csv").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (LOCUST.replace(",183,0,", ",183,150,"), "150 of 183 requests failed"),
        (LOCUST.replace(",183,", ",2,"), "has 2 requests that were served"),
        (
            LOCUST.replace(",Aggregated,", "GET,/other,"),
            "several kinds of requests and no row Aggregated",
        ),
        (LOCUST.splitlines()[0] + "\n", "has no row"),
        (LOCUST.replace("Median Response Time", "Median"), "is a table with the columns"),
    ],
)
def test_locust_that_says_too_little_is_refused(tmp_path, text, complaint):
    with pytest.raises(MeasurementError, match=complaint):
        load_measurements(written(tmp_path, text), shape=Shape(60, 16), users=3)


def test_aiperf_csv_is_refused_with_the_file_to_give():
    with pytest.raises(MeasurementError, match=r"is AIPerf's CSV; give profile_export\.jsonl"):
        load_measurements(MEASURED / "aiperf-rate6.csv")


# vLLM's benchmark, by its published keys


def vllm_result(**more) -> dict:
    n = 30
    chance = np.random.default_rng(0)
    ttft = 0.05 + 0.01 * chance.random(n)
    return {
        "date": "20261122-150000", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": None,
        "model_id": "m", "tokenizer_id": "m", "num_prompts": n, "request_rate": "inf", "burstiness": 1.0,
        "max_concurrency": 8, "duration": 9.0, "completed": n, "failed": 0, "total_input_tokens": 3000,
        "total_output_tokens": 600, "request_throughput": 3.33, "output_throughput": 66.0,
        "total_token_throughput": 400.0, "mean_ttft_ms": 55.0, "median_ttft_ms": 54.0, "std_ttft_ms": 3.0,
        "p99_ttft_ms": 60.0, "mean_tpot_ms": 8.0, "median_tpot_ms": 8.0, "p99_tpot_ms": 9.0,
        "mean_itl_ms": 8.0, "p99_itl_ms": 12.0, "input_lens": [100] * n, "output_lens": [20] * n,
        "ttfts": ttft.tolist(), "itls": [[0.008] * 19] * n, "start_times": (0.3 * np.arange(n)).tolist(),
        "errors": [""] * n,
    } | more  # fmt: skip


DETAILS = ("input_lens", "output_lens", "ttfts", "itls", "start_times", "errors")


def test_vllm_with_details_is_a_run(tmp_path):
    run = only(written(tmp_path, json.dumps(vllm_result())))
    assert isinstance(run, MeasuredRun)
    assert (len(run), run.loop, run.users) == (30, "closed", 8)
    np.testing.assert_allclose(run.tpot_s, 0.008)


def test_vllm_failures_are_left_out_and_said(tmp_path):
    result = vllm_result(errors=["boom"] * 3 + [""] * 27)
    run = only(written(tmp_path, json.dumps(result)))
    assert isinstance(run, MeasuredRun)
    assert (len(run), run.n_failed) == (27, 3)
    assert "3 of 30 requests failed" in run.notes[0]
    with pytest.raises(MeasurementError, match="20 of 30 requests failed"):
        load_measurements(written(tmp_path, json.dumps(vllm_result(errors=["x"] * 20 + [""] * 10))))


def test_vllm_without_details_is_a_level_with_the_percentiles_that_it_wrote(tmp_path):
    result = {key: value for key, value in vllm_result().items() if key not in DETAILS}
    level = only(written(tmp_path, json.dumps(result)))
    assert isinstance(level, MeasuredLevel)
    assert (level.users, level.n, str(level.shape)) == (8, 30, "100:20")
    assert sorted(level.figures) == [
        f"{metric}_{statistic}"
        for metric in ("tpot", "ttft")
        for statistic in ("mean", "p50", "p99")
    ]
    assert "--save-detailed would tell more" in level.notes[0]


def test_vllm_whose_client_was_the_limit_is_flagged(tmp_path):
    run = only(written(tmp_path, json.dumps(vllm_result(request_rate=50.0, max_concurrency=None))))
    assert run.notes[0].endswith(
        "3.33 requests/s were sent where 50 were asked for, so the client was the limit; its arrivals are taken as "
        "they were sent"
    )
    bare = {k: v for k, v in vllm_result(request_rate=50.0).items() if k not in DETAILS}
    level = only(written(tmp_path, json.dumps(bare)))
    assert isinstance(level, MeasuredLevel)
    assert level.users == 8
    assert "taken as a closed loop" in level.notes[-1]


def test_appended_results_of_vllm_are_several(tmp_path):
    line = json.dumps(vllm_result())
    assert len(load_measurements(written(tmp_path, f"{line}\n{line}\n"))) == 2


# Tables and engine logs

TABLE = "arrival_s,input_tokens,output_tokens,ttft_ms,e2e_s,status\n"


def test_a_table_of_requests_has_its_units_in_its_names(tmp_path):
    run = only(
        written(tmp_path, f"{TABLE}1.5,10,5,40,0.2,200\n0.5,20,3,50,0.1,200\n2,9,9,9,9,429\n")
    )
    assert isinstance(run, MeasuredRun)
    assert run.arrival_s.tolist() == [0.0, 1.0]
    assert run.ttft_s.tolist() == [0.05, 0.04]
    assert run.n_failed == 1


def test_moments_are_turned_into_durations(tmp_path):
    rows = "2026-11-22T10:00:00Z,10,5,2026-11-22T10:00:01Z,2026-11-22T10:00:03Z\n"
    header = "request_time,prompt_tokens,completion_tokens,first_token_at,finished_at\n"
    run = only(written(tmp_path, header + rows))
    assert isinstance(run, MeasuredRun)
    assert (run.ttft_s.tolist(), run.e2e_s.tolist()) == ([1.0], [3.0])


def test_an_inference_table_has_ends_and_no_first_tokens(tmp_path):
    answer = json.dumps({"usage": {"prompt_tokens": 50, "completion_tokens": 7}}).replace('"', '""')
    row = '2026-11-22 10:00:SECOND,200,1.0,MS,"' + answer + '"\n'
    text = "request_time,status_code,sampling_fraction,execution_duration_ms,response\n"
    text += "".join(
        row.replace("SECOND", f"{second:02d}").replace("MS", str(100 + second))
        for second in range(30)
    )
    run = only(written(tmp_path, text))
    assert isinstance(run, MeasuredRun)
    assert (run.input_tokens[0], run.output_tokens[0]) == (50, 7)
    assert run.e2e_s[3] == pytest.approx(0.103)
    assert np.isnan(run.ttft_s).all()
    assert run.warm_s > 0  # what was in flight when the log began is not in it
    with pytest.raises(MeasurementError, match=r"holds a sample of the requests \(50%\)"):
        load_measurements(written(tmp_path, text.replace(",1.0,", ",0.5,")))


def test_a_sweep_of_several_servers_must_be_chosen_from(tmp_path):
    text = "tp,users,isl,osl,ttft_ms,tpot_ms\n1,4,100,20,50,9\n2,4,100,20,40,5\n1,4,100,20,70,9\n"
    file = written(tmp_path, text)
    with pytest.raises(MeasurementError, match=r"rows differ in tp, .* choose with --where tp=1"):
        load_measurements(file)
    level = only(file, where={"tp": "1"})
    assert isinstance(level, MeasuredLevel)
    # Medians of what was repeated.
    assert level.figures == pytest.approx({"ttft_mean": 0.06, "tpot_mean": 0.009})


ENGINE = {
    "request_id": "a", "input_toks": 10, "output_toks": 5, "arrival_time": 1.0, "queued_ts": 7.0,
    "scheduled_ts": 7.1, "first_token_ts": 7.5, "last_token_ts": 9.0,
}  # fmt: skip


def test_an_engine_log_takes_its_limits_from_the_file_beside(tmp_path):
    file = written(tmp_path, json.dumps(ENGINE) + "\n", "x.requests.jsonl")
    run = only(file)
    assert isinstance(run, MeasuredRun)
    assert (run.ttft_s[0], run.e2e_s[0], run.limits.max_sequences) == (0.5, 2.0, None)
    kwargs = {"max_num_seqs": 12, "max_num_batched_tokens": 34, "num_gpu_blocks_override": 100}
    written(tmp_path, json.dumps({"engine_kwargs": kwargs}), "x.meta.json")
    limits = only(file).limits
    assert (limits.max_sequences, limits.token_budget, limits.kv_tokens) == (12, 34, 1600)


# What is refused


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("{", "begins like JSON and breaks off"),
        ('{"benchmarks": [{"type_": "x"}], "metadata": {"version": 1, "guidellm_version": "0.4"}}',
         "is guidellm's report of version 1; version 2 is read"),
        ('{"benchmarks": [], "args": {}}', "is guidellm's report of version before 2"),
        ('{"benchmarks": [{"requests": {"successful": []}}], "metadata": {"version": 2, "guidellm_version": "0.8"}}',
         "holds no benchmark with a served request"),
        ('{"load_summary": {}, "successes": {}}', "is a report of inference-perf"),
        ('{"results_ttft_s_mean": 1}', "is a summary of llmperf"),
        ('{"metrics": {"http_req_duration": {"p(95)": 3}}}', "is a summary of k6"),
        ('{"a": 1}', "is JSON with the keys a, which is no known one"),
        ("[1, 2]", "is a JSON list, but not of objects"),
        ("a,b\n1,2\n", "is a table with the columns a, b, which is no known one"),
        (f"{TABLE}0,1,1,nan,inf,200\n", "none of its 1 requests was served"),
        (f"{TABLE}0,10,5,500,0.1,200\n", "its first token came after 0.5 s and its last after 0.1 s"),
        (f"{TABLE}0,99999999999,5,5,0.1,200\n", "none of its 1 requests"),
        (f"{TABLE}0,10,5,-5,0.1,200\n", "ttft_s is -0.005; must be > 0"),
        (json.dumps(ENGINE) + "\n" + '{"input_toks": 1}\n', "line 2 has no output_toks; the file is a mixture"),
        (json.dumps(ENGINE) + "\n" + '{"input_to', "line 2 is no JSON; is the file whole?"),
        ('{"schema_version": "2.0", "request_latency": {"unit": "ms", "avg": 1}}', "has AIPerf's schema 2.0"),
        ('{"request_latency": {"unit": "weeks", "avg": 1}, "schema_version": "1.4"}', "has the unit 'weeks'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_by_name(text, complaint, tmp_path):
    with pytest.raises(MeasurementError) as refused:
        load_measurements(written(tmp_path, text))
    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "name", ["aiperf-rate6.jsonl.gz", "aiperf-rate6.json.gz", "guidellm-replay.json.gz"]
)
@pytest.mark.parametrize("share", [0.1, 0.5, 0.999])
def test_a_truncated_file_is_refused(name, share, tmp_path):
    text = unpacked(name)
    with pytest.raises(MeasurementError, match=r"breaks off|is the file whole|is no JSON"):
        load_measurements(written(tmp_path, text[: int(share * len(text.rstrip()))]))
    packed = tmp_path / "cut.gz"
    packed.write_bytes((MEASURED / name).read_bytes()[: int(share * 4000)])
    with pytest.raises(MeasurementError, match="cut"):
        load_measurements(packed)


def test_a_mixture_is_refused(tmp_path):
    first = unpacked("aiperf-rate6.jsonl.gz").splitlines()[0]
    text = f"{first}\n{json.dumps(ENGINE)}\n"
    with pytest.raises(MeasurementError, match="line 2 is no record of AIPerf"):
        load_measurements(written(tmp_path, text))
    with pytest.raises(MeasurementError, match="others beside them"):
        load_measurements(written(tmp_path, json.dumps(vllm_result()) + '\n{"a": 1}\n'))
