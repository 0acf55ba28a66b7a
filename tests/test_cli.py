"""The command line from outside: exit codes, one-line errors, what it prints and what it writes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import planner
from planner.cli import run
from simulations.ingest import load_trace

HEADER = "arrived_at,num_prefill_tokens,num_decode_tokens\n"
LOG = f"{HEADER}0,10,5\n3,100,20\n9,50,2\n"
MODEL = ("--model", "system.ai.meta_llama_v3_1_8b_instruct")
HOPELESS = ("--ttft-p95", "0.01ms")
COMMANDS = (
    "recommend",
    "backtest",
    "simulate",
    "report",
    "describe",
    "convert",
    "generate",
    "calibrate",
    "chunk",
    "plan",
    "apply",
    "verify",
    "rollback",
    "emit",
    "sandbox",
    "app",
)

SERVICE = """
[service]
iteration_s = 0.02
prefill_s = 2e-5
max_sequences = 4
per_chunk = true
"""

TRAFFIC = """
duration_s = 600
[rate]
weekday_mean_per_s = 0.1
[input]
mean_tokens = 100
sigma = 0.5
[output]
mean_tokens = 20
sigma = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a small log in it."""
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text(LOG, encoding="utf-8")
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that takes no time, where nobody looks at it."""
    monkeypatch.setattr("reports.html.render_html", lambda report: "<html></html>")


def read_out(folder: str = "out") -> dict:
    return json.loads(Path(folder, "recommendation.json").read_text(encoding="utf-8"))


def every_file() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def complaint_of(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line in which a command complains; it exits with 1 and changes no file."""
    before = every_file()
    assert run(list(arguments)) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("ptplan: ")
    assert printed.err.endswith("\n")
    assert printed.err.count("\n") == 1
    assert printed.err.rstrip("\n").isprintable()
    assert every_file() == before
    return printed.err.removeprefix("ptplan: ").rstrip("\n")


# Wrong usage


def test_the_commands_are_these():
    """So that a new one is held to all that is asked here."""
    done = subprocess.run(
        [sys.executable, "-m", "planner.cli", "--help"], capture_output=True, text=True, check=True
    )
    listed = done.stdout.partition("Commands:\n")[2].splitlines()
    assert tuple(line.split()[0] for line in listed) == COMMANDS


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((), "Missing command; see ptplan --help"),
        (("advise",), "No such command 'advise'; see ptplan --help"),
        (("--loud",), "No such option: --loud; see ptplan --help"),
        (("recommend",), "Missing argument 'WORKLOAD'; see ptplan recommend --help"),
        (("backtest",), "Missing argument 'WORKLOAD'; see ptplan backtest --help"),
        (("simulate",), "Missing argument 'WORKLOAD'; see ptplan simulate --help"),
        (("describe",), "Missing argument 'WORKLOAD'; see ptplan describe --help"),
        (("convert",), "Missing argument 'WORKLOAD'; see ptplan convert --help"),
        (("convert", "x.csv", "--out", "y"), "Missing option '--to'; see ptplan convert --help"),
        (("generate",), "Missing option '--out'; see ptplan generate --help"),
        (("generate", "x.toml"), "Missing option '--out'; see ptplan generate --help"),
    ],
)
def test_wrong_usage_says_where_help_is(arguments, complaint, folder, capsys):
    assert complaint_of(*arguments, capsys=capsys) == complaint


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("wrong", [("--loud",), ("a", "b", "c"), ("--seed", "x"), ("--seed",)])
def test_wrong_usage_exits_with_1_in_every_command(command, wrong, folder, capsys):
    assert f"see ptplan {command} --help" in complaint_of(command, *wrong, capsys=capsys)


# Bad traffic


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (f"{HEADER}0,10,5\n3,-100,20\n", "input_tokens (column 'num_prefill_tokens') is '-100'"),
        (f"{HEADER}0,10,5\n3,10,-1\n", "output_tokens (column 'num_decode_tokens') is '-1'"),
        (
            f"{HEADER}0,10,5\n3,99999999999,20\n",
            "is '99999999999'; must be a whole number from 1 to",
        ),
        (f"{HEADER}0,10,5\n3,16000000,2000000\n", "must with its output be at most 16777216"),
        (f"{HEADER}0,10,5\n50000000,100,20\n", "must be within 1.46 years"),
        (f"{HEADER}0,10,5\nnan,100,20\n", "arrival (column 'arrived_at') is 'nan'"),
        (f"{HEADER}0,10,5\n", "the trace spans no time (one request, or all at once)"),
        (f"{HEADER}7,10,5\n7,10,5\n", "the trace spans no time (one request, or all at once)"),
        (HEADER, "a header and no rows"),
        ("", "is empty"),
        ("a,b,c\n1,2,3\n", "Say which is which with --columns"),
    ],
)
def test_bad_traffic_is_refused(text, complaint, folder, capsys):
    Path("log.csv").write_text(text, encoding="utf-8")
    assert complaint in complaint_of("recommend", "log.csv", *MODEL, capsys=capsys)


@pytest.mark.parametrize(
    ("path", "complaint"),
    [("none.csv", "none.csv: there is no such file"), ("none-*", "none-* fits no file")],
)
@pytest.mark.parametrize(
    ("command", "flags"),
    [
        ("recommend", MODEL),
        ("simulate", (*MODEL, "--min-chunks", "1", "--max-chunks", "1")),
        ("describe", ()),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(command, flags, path, complaint, folder, capsys):
    assert complaint_of(command, path, *flags, capsys=capsys) == complaint


# Bad flags


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--chunk-tokens-per-s", "0"), "--chunk-tokens-per-s is 0; must be >= 1"),
        (("--ttft-p95", "2"), "--ttft-p95 is '2'; must be a number with a unit, such as 500ms"),
        (("--ttft-p95", "-1s"), "--ttft-p95 is '-1s'; must be a number with a unit"),
        (("--ttft-p95", "0s"), "ttft_p95_s is 0.0; must be > 0"),
        (("--ttft-p95", "80w"), "ttft_p95_s is 4.8384e+07 s; must be below 46116860 s (1.46 years)"),
        (("--deadline", "soon"), "--deadline is 'soon'; must be a number with a unit"),
        (("--max-refused", "2"), "--max-refused is '2'; must be a share such as 0.1% or 0.001"),
        (("--max-refused", "101%"), "--max-refused is '101%'; must be a share"),
        (("--futures", "0"), "futures is 0; must be between 1 and 10000"),
        (("--columns", "arrival=when,input=b,output=c"), "there is no column 'when'; found arrived_at"),
        (("--columns", "arrival"), "--columns: 'arrival' must be written role=name"),
        (("--endpoint", "a b"), "endpoint name is 'a b'; must be 1 to 63 letters"),
        (("--queue-limit", "0"), "queue_limit is 0; must be >= 1, or none"),
        (("--start-chunks", "-4"), "start_chunks is -4; must be >= 0"),
        (("--seed", "-1"), "seed is -1; must be between 0 and 4294967295"),
        (("--output", "xml"), "--output is 'xml'; must be text or json"),
        (("--autoscaler", "none.toml"), "autoscaler is 'none.toml'; must be databricks, hpa, fixed"),
        (("--service", "none.toml"), "none.toml: cannot be read: No such file or directory"),
        (("--config", "none.toml"), "none.toml cannot be read: No such file or directory"),
        (("--usd-per-chunk-hour", "nan"), "usd_per_chunk_hour is nan; must be a number >= 0"),
        (("--current-min-chunks", "1"), "--current-max-chunks is missing; give both or neither"),
        (("--unit-step", "50"), "--unit-step is 50, but system.ai.meta_llama_v3_1_8b_instruct is sold in"),
    ],
)  # fmt: skip
def test_a_flag_that_cannot_be_used_is_refused(flags, complaint, folder, capsys):
    assert complaint in complaint_of("recommend", "log.csv", *MODEL, *flags, capsys=capsys)


@pytest.mark.parametrize(
    ("model", "complaint"),
    [
        (("--model", "ml.my.model"), "model ml.my.model is not in the catalogue; still missing: --chunk-"),
        (("--model", "system.ai.meta_llama_v3_1_405b_instruct_fp8"), "is retired since 2026-05-15"),
        (("--model", "system.ai.meta_llama_v3_1_8b"), "is a base model, and only the Instruct variant"),
        (("--model", "system.ai.meta_llama_v3_1_8b_instruct:x"), "has version 'x'; must be a whole number"),
        ((), "--model is missing; give a model of the catalogue such as"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["recommend", "simulate"])
def test_a_model_that_cannot_be_bought_is_refused(command, model, complaint, folder, capsys):
    assert complaint in complaint_of(command, "log.csv", *model, capsys=capsys)


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (("--min-chunks", "3", "--max-chunks", "2"), "min chunks is 3 and max chunks is 2; min must be <= max"),
        (("--min-chunks", "-1", "--max-chunks", "2"), "min chunks is -1; must be >= 0"),
        (("--min-chunks", "0", "--max-chunks", "0"), "max chunks is 0; must be >= 1"),
        (("--min-chunks", "1"), "--max-chunks is missing; give both or neither"),
        ((), "is sold in chunks; give --min-chunks A and --max-chunks B and no --units"),
        (("--units", "50"), "is sold in chunks; give --min-chunks A and --max-chunks B and no --units"),
        (("--min-chunks", "1", "--max-chunks", "1", "--engine", "steam"), "engine is 'steam'; must be kernel"),
        (("--min-chunks", "1", "--max-chunks", "2", "--start-chunks", "3"), "must be within the range 1..2"),
    ],
)  # fmt: skip
def test_a_range_that_cannot_be_simulated_is_refused(flags, complaint, folder, capsys):
    assert complaint in complaint_of("simulate", "log.csv", *MODEL, *flags, capsys=capsys)


def test_model_units_are_simulated_by_their_number(folder, capsys):
    units = ("simulate", "log.csv", "--model", "system.ai.llama-4-maverick")
    complaint = complaint_of(*units, "--min-chunks", "1", "--max-chunks", "2", capsys=capsys)
    assert "is sold in model units; give --units N and no range" in complaint
    complaint = complaint_of(*units, "--units", "75", capsys=capsys)
    assert complaint == "model units is 75; must be a multiple of the step 50"
    assert run([*units, "--units", "100"]) == 0
    assert "100 model units (2 steps of 50)" in capsys.readouterr().out


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_read(folder, capsys):
    Path("bent.csv").write_text("not,read\n", encoding="utf-8")
    complaint = complaint_of("recommend", "bent.csv", *MODEL, "--out", "log.csv/out", capsys=capsys)
    assert complaint == "log.csv/out cannot be written: Not a directory; choose another --out"


# What is printed and what is written


def hill(path: Path) -> None:
    """Write the log of half an hour that grows from 0.2 to 4.5 requests a second and falls again."""
    lines, now = [], 0.0
    while now < 1800:
        lines.append(f"{now:.3f},500,100")
        now += 1 / (0.2 + 4.3 * max(0.0, 1 - abs(now - 900) / 450))
    lines.append("1800,500,100")
    path.write_text(HEADER + "\n".join(lines) + "\n", encoding="utf-8")


PAGE = """\
hill.csv: 2,296 requests in 30 min (vidur)
ml.own.model:7: chunk of 1,200 tokens/s
one request alone (2048:256 tokens): TTFT 61.0 ms, TPOT 20.0 ms, E2E 5.16 s

RECOMMENDED  1 to 3 chunks  (1,200 to 3,600 tokens/s)
  console   "Up to" 3600, "Modify" minimum 1200
  cost      USD 4,883 a month (USD 6.69/h; 730 hours, as if every hour looked like these)
  promise   kept: TTFT within 2 s for 99.956 % of arrived requests, 95 % promised
  promise   kept: 0 % refused, 1 % allowed
  held in   one future, no interval
  search    proved: every range up to 5 chunks was tried or costs more
  request   POST /api/2.0/serving-endpoints; still to be filled in: endpoint

- A fixed 3 chunks is the smallest fixed size that keeps the promise; letting it scale saves 44.3 % of the
  chunk-hours.
- The next cheaper, 1 to 2 chunks, fails, with 78.2 % within TTFT 2 s, 95 % promised, most of it from 15 min after the
  start, with a minute of 3.3 times the mean load.
- Every range up to 5 chunks was tried or costs more.
- The next safer, 2 to 3 chunks, costs USD 6,489 a month: 100 % of requests keep every limit, 99.956 % with the
  answer.

ranges tried
  range        a month  TTFT p50      p95      p99  E2E p95  refused
  1          USD 2,920    4.07 s    never    never    never   29.1 %  25.5 % within TTFT 2 s, 95 % promised
  1–2        USD 4,234   43.0 ms   4.08 s   5.55 s   6.09 s   0.83 %  78.2 % within TTFT 2 s, 95 % promised
> 1–3 … 1–5  USD 4,883   39.0 ms   285 ms   1.06 s   2.29 s      0 %  the cheapest that keeps the promise
  2          USD 5,840   43.0 ms   4.08 s   5.55 s   6.09 s   0.83 %  78.2 % within TTFT 2 s, 95 % promised
  2–3        USD 6,489   38.0 ms  65.0 ms   768 ms   2.08 s      0 %  keeps the promise, costs more
  3          USD 8,760   37.0 ms  48.0 ms  49.0 ms   2.05 s      0 %  keeps the promise, costs more
"""  # noqa: RUF001


@pytest.fixture
def hill_flags(folder: Path) -> list[str]:
    hill(Path("hill.csv"))
    Path("service.toml").write_text(SERVICE, encoding="utf-8")
    Path("scaler.toml").write_text("[autoscaler]\nstart_delay_s = 20.0\n", encoding="utf-8")
    flags = (
        "--model ml.own.model:7 --chunk-tokens-per-s 1200 --service service.toml --max-refused 1%"
    )
    more = "--autoscaler scaler.toml --ttft-p95 2s --usd-per-chunk-hour 4 --futures 1 --out out"
    return ["recommend", "hill.csv", *flags.split(), *more.split()]


def test_the_page_of_a_recommendation(hill_flags, undrawn, capsys):
    """Figures stand under their names, equal ranges share a row, long lines hang, nothing trails."""
    assert run(hill_flags) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    assert printed.out[: len(PAGE)] == PAGE
    lines = printed.out.splitlines()
    assert [line for line in lines if line != line.rstrip()] == []
    assert max(map(len, lines)) <= 118
    assert lines[-1] == "written: out/recommendation.json, out/report.html"


def test_both_files_are_written(hill_flags):
    assert run(hill_flags) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "recommendation.json",
        "report.html",
    ]
    assert "1,200 to 3,600" in Path("out/report.html").read_text(encoding="utf-8")


def test_the_command_in_the_file_gives_the_file_again(hill_flags, undrawn):
    assert run(hill_flags) == 0
    first = read_out()
    assert shlex.split(first["command"]) == ["ptplan", *hill_flags]
    assert run(shlex.split(first["command"])[1:]) == 0
    again = read_out()
    differing = {key for key in first if first[key] != again[key]}
    assert differing <= {"created_at", "sha256"}


def test_a_promise_that_no_range_keeps_exits_with_3_and_writes_the_nearest_miss(
    folder, undrawn, capsys
):
    assert run(["recommend", "log.csv", *MODEL, *HOPELESS, "--out", "out"]) == 3
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "\nNO RANGE KEEPS THE PROMISE; NEAREST  1 chunk  (19,000 tokens/s)\n" in printed.out
    assert "\n  promise   MISSED: TTFT within 0.01 ms for 0 % of arrived requests" in printed.out
    data = read_out()
    assert data["feasible"] is False
    (nearest,) = (row for row in data["alternatives"] if row["chosen"])
    assert not nearest["feasible"]
    assert nearest["capacity"]["max_chunks"] == data["capacity"]["max_chunks"] == 1
    assert Path("out/report.html").exists()


@pytest.mark.parametrize("form", [["--json"], ["-o", "json"], ["--output=json"]])
@pytest.mark.parametrize(("promise", "code"), [((), 0), (HOPELESS, 3)])
def test_json_is_all_that_is_printed_and_is_what_is_written(
    form, promise, code, folder, undrawn, capsys
):
    assert run(["recommend", "log.csv", *MODEL, *promise, "--out", "out", *form]) == code
    printed = capsys.readouterr()
    assert printed.err == ""
    assert json.loads(printed.out) == read_out()


@pytest.mark.parametrize("form", [["--json"], ["-o", "json"]])
def test_simulate_prints_an_outcome_and_where_every_request_went(form, folder, capsys):
    command = ["simulate", "log.csv", *MODEL, "--min-chunks", "1", "--max-chunks", "2", *form]
    assert run(command) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    data = json.loads(printed.out)
    assert data.keys() == {"outcome", "conservation"}
    counted = data["conservation"]
    assert counted.keys() == {"arrived", "completed", "refused", "spilled", "in_flight"}
    assert counted.pop("arrived") == 3 == sum(counted.values())
    assert data["outcome"]["attainment"] == {"all": 1.0, "ttft_p95_s": 1.0}
    assert data["outcome"]["refused_fraction"] == 0
    assert data["outcome"]["ttft_p99_s_completed"] > 0


def test_both_engines_print_the_same(folder, capsys):
    command = ["simulate", "log.csv", *MODEL, "--min-chunks", "1", "--max-chunks", "2"]
    pages = []
    for engine in ("kernel", "reference"):
        assert run([*command, "--engine", engine]) == 0
        pages.append(capsys.readouterr().out)
    assert pages[0] == pages[1]
    assert "\n  latency      p50      p90      p95      p99\n" in pages[0]
    assert "the promise is kept: at least 95 % of arrived requests" in pages[0]


def test_generate_writes_a_trace_and_the_seed_decides_which(folder, capsys):
    Path("traffic.toml").write_text(TRAFFIC, encoding="utf-8")
    for name, more in (("a.csv", ()), ("b.csv", ()), ("c.csv", ("--seed", "5"))):
        assert run(["generate", "traffic.toml", "--out", name, *more]) == 0
    assert capsys.readouterr().out.startswith("written: a.csv, Trace(")
    files = [Path(name).read_bytes() for name in ("a.csv", "b.csv", "c.csv")]
    assert files[0] == files[1] != files[2]
    assert load_trace("a.csv").span_s == 600


@pytest.mark.parametrize(
    ("description", "out", "complaint"),
    [
        (TRAFFIC, "trace.txt", "trace.txt: a trace is written to a file that ends in .csv"),
        (TRAFFIC, "log.csv/trace.csv", "cannot be written"),
        ("duration_s = 600", "trace.csv", "traffic.toml: table [rate] is missing"),
        ("duration_s = ", "trace.csv", "traffic.toml is not TOML: Invalid value"),
    ],
)
def test_generate_refuses_what_it_cannot_make_or_write(description, out, complaint, folder, capsys):
    Path("traffic.toml").write_text(description, encoding="utf-8")
    assert complaint in complaint_of("generate", "traffic.toml", "--out", out, capsys=capsys)


# Defaults from a file


def test_a_file_gives_defaults_and_flags_override_them(folder, undrawn, capsys):
    Path("ptplan.toml").write_text(
        f'model = "{MODEL[1]}"\nttft-p95 = "3s"\nout = "elsewhere"\nmin_chunks = 1\n'
        '[recommend]\nout = "here"\nseed = 4\nallow-zero = true\n[simulate]\nmax-chunks = 2\n',
        encoding="utf-8",
    )
    assert run(["recommend", "log.csv"]) == 0
    data = read_out("here")
    assert data["objective"]["ttft_p95_s"] == 3.0
    assert data["inputs"]["seed"] == 4
    assert run(["recommend", "log.csv", "--ttft-p95", "1s", "--out", "there"]) == 0
    assert read_out("there")["objective"]["ttft_p95_s"] == 1.0
    assert not Path("elsewhere").exists()
    capsys.readouterr()
    assert run(["simulate", "log.csv"]) == 0
    assert "1..2 chunks" in capsys.readouterr().out


def test_the_file_can_be_named(folder, undrawn):
    Path("ptplan.toml").write_text('model = "ml.not.this.one"\n', encoding="utf-8")
    Path("my.toml").write_text(f'model = "{MODEL[1]}"\n', encoding="utf-8")
    for named in (["--config", "my.toml"], ["--config=my.toml"]):
        assert run(["recommend", "log.csv", "--out", "out", *named]) == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("speed = 3", "ptplan.toml: 'speed' is no flag of any command; see ptplan recommend --help"),
        ("[recommend]\nmin-chunks = 3", "ptplan.toml: 'min-chunks' in [recommend] is no flag of recommend"),
        ("[advise]\nseed = 3", f"ptplan.toml: [advise] is no command; commands are {', '.join(sorted(COMMANDS))}"),
        ("seed = [3]", "ptplan.toml: seed is [3]; must be text, a number or true or false"),
        ("config = 'x.toml'", "ptplan.toml: 'config' is no flag of any command; see ptplan recommend --help"),
        ("workload = 'log.csv'", "ptplan.toml: 'workload' is no flag of any command; see ptplan recommend --help"),
        ("seed", "ptplan.toml is no configuration: Expected '=' after a key"),
    ],
)  # fmt: skip
def test_a_file_of_defaults_that_makes_no_sense_is_refused(text, complaint, folder, capsys):
    Path("ptplan.toml").write_text(text, encoding="utf-8")
    assert complaint in complaint_of("recommend", "log.csv", *MODEL, capsys=capsys)


def test_a_default_of_the_wrong_kind_is_refused(folder, capsys):
    Path("ptplan.toml").write_text('seed = "soon"\n', encoding="utf-8")
    complaint = complaint_of("recommend", "log.csv", *MODEL, capsys=capsys)
    assert "--seed" in complaint
    assert "see ptplan recommend --help" in complaint


# Names that may hold anything

HOSTILE = [
    "a b.csv",
    "quo'te\".csv",
    "new\nline.csv",
    "t\u00fcr \u4e2d.csv",
    "-dash.csv",
    "esc\x1b[2Jape.csv",
    "[red]markup.csv",
    "<b>&amp;.csv",
    os.fsdecode(b"no\xfftext.csv"),
]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_hostile_name_is_printed_on_one_line_and_written_as_it_is(name, folder, undrawn, capsys):
    try:
        Path(name).write_text(LOG, encoding="utf-8")
    except OSError:
        pytest.skip("this file system cannot hold the name")
    command = ["recommend", *MODEL, "--out", "out", "--", name]
    assert run(command) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    first, *lines = printed.out.splitlines()
    assert first.endswith(".csv: 3 requests in 9 s (vidur)")
    assert all(line.isprintable() for line in [first, *lines])
    data = read_out()
    assert data["inputs"]["workload"]["path"] == name
    assert shlex.split(data["command"]) == ["ptplan", *command]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("flag", ["WORKLOAD", "--out", "--config", "--service", "--autoscaler"])
def test_a_hostile_name_is_complained_of_on_one_line(flag, name, folder, capsys):
    named = ["--", name] if flag == "WORKLOAD" else [f"{flag}={name}", "none.csv"]
    if flag == "--out":
        Path("none").write_text("", encoding="utf-8")
        named[0] = f"{flag}=none/{name}"
    complaint_of("recommend", *MODEL, *named, capsys=capsys)


# In a process of its own


def processes(*arguments: str, **more) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "planner.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, **more)


def test_version_is_printed_with_where_it_was_loaded_from():
    """By the console script and by the module alike."""
    script = Path(sys.executable).with_name("ptplan")
    by_script = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    by_module = processes("--version", check=True)
    version, path = by_script.stdout.rstrip("\n").split(" from ")
    assert version.split()[0] == "ptplan"
    assert Path(path) == Path(planner.__file__).parent
    assert by_module.stdout == by_script.stdout
    assert by_module.stderr == by_script.stderr == ""


def test_help_of_every_command_imports_nothing_heavy():
    code = f"""
import sys
from planner.cli import run
codes = [run([*command, "--help"]) for command in {[[], *([name] for name in COMMANDS)]}]
heavy = {{"duckdb", "jinja2", "matplotlib", "numba", "numpy", "pandas", "scipy", "simpy"}}
print(codes, sorted(heavy & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *pages, last = done.stdout.splitlines()
    assert last == f"{[0] * (1 + len(COMMANDS))} []"
    assert sum(line.startswith("Usage: ptplan") for line in pages) == 1 + len(COMMANDS)
    assert done.stderr == ""


def test_an_error_exits_with_1_and_shows_no_traceback(folder):
    done = processes("recommend", "none.csv", *MODEL)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ptplan: none.csv: there is no such file\n"


def test_an_interrupted_command_ends_in_one_line_and_writes_nothing(folder):
    """The signal comes while the log is being read, at the same place every time."""
    code = """
import os, signal, sys, time
import simulations.ingest
def read(*given, **more):
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(600)
simulations.ingest.read = read
from planner import cli
cli.main()
"""
    command = [sys.executable, "-c", code, "recommend", "log.csv", *MODEL, "--out", "out"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "ptplan: stopped\n")
    assert every_file().keys() == {"log.csv"}


@pytest.fixture
def nobody_reads() -> Iterator[int]:
    """The writing end of a pipe whose reader has left."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_reader_who_leaves_changes_neither_files_nor_exit_code(form, folder, nobody_reads):
    command = [sys.executable, "-m", "planner.cli", "recommend", "log.csv", *MODEL, *HOPELESS]
    command += ["--out", "out", "-o", form]
    done = subprocess.run(command, stdout=nobody_reads, stderr=subprocess.PIPE, timeout=300)
    assert (done.returncode, done.stderr) == (3, b"")
    assert read_out()["feasible"] is False


def test_a_reader_who_leaves_the_help_is_no_error_to_speak_of(nobody_reads):
    command = [sys.executable, "-m", "planner.cli", "--help"]
    done = subprocess.run(command, stdout=nobody_reads, stderr=subprocess.PIPE, timeout=300)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("quiet", "told"), [((), True), (("--quiet",), False), (("--json",), False)]
)
def test_progress_goes_to_stderr_and_only_to_a_terminal(quiet, told, folder):
    master, terminal = os.openpty()
    command = [sys.executable, "-m", "planner.cli", "recommend", "log.csv", *MODEL, "--out", "out"]
    with os.fdopen(master, "rb", buffering=0) as screen:
        done = subprocess.run(
            [*command, *quiet], stdout=subprocess.PIPE, stderr=terminal, timeout=300, check=True
        )
        # Something to read even where nothing was told.
        os.write(terminal, b"end")
        seen = screen.read(1 << 16)
        os.close(terminal)
    assert (b"drawing the report" in seen) == told
    assert b"drawing the report" not in done.stdout
    assert b"\x1b" not in done.stdout


def test_a_terminal_that_knows_only_ascii_gets_what_it_can_show(folder):
    """A dash that it lacks is escaped rather than a reason to fail."""
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = processes("recommend", "log.csv", *MODEL, "--out", "out", env=ascii_only)
    assert (done.returncode, done.stderr) == (0, "")
    assert "documentation's sample  2\\u20133" in done.stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("arguments", [("--version",), ("convert", "log.csv", "--to", "azure")])
def test_a_disk_that_is_full_is_told_in_one_line(arguments, folder):
    command = [sys.executable, "-m", "planner.cli", *arguments]
    if "convert" in arguments:
        command += ["--out", "other.csv"]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=300)
    assert done.returncode == 1
    assert done.stderr.startswith("ptplan: stdout cannot be written to (")
    assert done.stderr.count("\n") == 1
    assert Path("other.csv").exists() == ("convert" in arguments)


def test_who_closes_stdout_wants_the_files_alone(folder):
    command = f"{shlex.quote(sys.executable)} -m planner.cli convert log.csv --to azure --out other.csv >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert Path("other.csv").exists()


@pytest.mark.parametrize(
    "others", ["", "threading.Thread(target=time.sleep, args=(0.2,)).start(); "]
)
def test_what_is_registered_for_the_end_is_done_at_the_end(others):
    """The process ends without freeing what it holds; nothing else is left out."""
    script = (
        "import atexit, sys, threading, time; from planner import cli; "
        f"atexit.register(print, 'last'); {others}sys.argv = ['ptplan', 'nonsense']; cli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout) == (1, "last\n")
    assert done.stderr.startswith("ptplan: No such command")
