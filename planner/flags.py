"""The flags that commands share, in groups: what traffic, which model, what promise, how it behaves, how it is judged.

Each group is a dataclass whose fields are flags; `takes` gives a command all flags of some groups and
hands it the filled dataclasses; `GroupedCommand` lists them by group in its help. Parsing is typer's;
nothing here computes.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.core import TyperCommand

from planner.configuration import CONFIG_NAME


def _option(help_text: str, panel: str, *names: str, metavar: str | None = None) -> Any:
    return typer.Option(
        *names, help=help_text, rich_help_panel=panel, metavar=metavar, show_default=False
    )


TRAFFIC, CHANGE, MODEL = "Traffic", "What if", "Model"
PRICE, PROMISE = "Price", "Promise"
MEASURED, FIT = "Measured server", "Fit"
ENDPOINT, SEARCH, OUTPUT = "Endpoint and clients (assumed defaults)", "Search", "Output"

Text = str | None
Whole = int | None
Number = float | None


@dataclass(frozen=True, slots=True)
class TrafficFlags:
    """How a file of traffic is read."""

    columns: Annotated[
        Text,
        _option("which columns are which", TRAFFIC, metavar="arrival=A,input=B,output=C[,...]"),
    ] = None
    on_bad: Annotated[
        Text, _option("what to do with bad rows [fail]", TRAFFIC, metavar="fail|drop")
    ] = None
    time_unit: Annotated[
        Text, _option("unit of numeric arrival times", TRAFFIC, metavar="s|ms|us|ns|min")
    ] = None
    aggregate: Annotated[
        Text,
        _option("each row is the sum of a time", TRAFFIC, metavar="second|minute|hour"),
    ] = None
    served_by: Annotated[
        Text, _option("only what this endpoint or entity served", TRAFFIC, metavar="NAME")
    ] = None
    served_entities: Annotated[
        Text, _option("export of system.serving.served_entities", TRAFFIC, metavar="FILE")
    ] = None


@dataclass(frozen=True, slots=True)
class ChangeFlags:
    """What will be different from what was recorded."""

    growth: Annotated[Number, _option("requests, times this [1]", CHANGE, metavar="X")] = None
    input_factor: Annotated[
        Number, _option("input tokens, times this [1]", CHANGE, metavar="X")
    ] = None
    output_factor: Annotated[
        Number, _option("output tokens, times this [1]", CHANGE, metavar="X")
    ] = None


@dataclass(frozen=True, slots=True)
class ModelFlags:
    """Which model, in what steps, how fast, at what price."""

    model: Annotated[
        Text, _option("the model in Unity Catalog", MODEL, metavar="NAME[:VERSION]")
    ] = None
    base_model: Annotated[
        Text, _option("what your own model was tuned from", MODEL, metavar="NAME")
    ] = None
    chunk_tokens_per_s: Annotated[
        Whole, _option("the model's throughput_chunk_size", MODEL, metavar="N")
    ] = None
    unit_step: Annotated[Whole, _option("increment of model units", MODEL, metavar="N")] = None
    tokens_per_s_per_step: Annotated[
        Whole, _option("what one step of units serves", MODEL, metavar="N")
    ] = None
    service: Annotated[Text, _option("a calibrated service.toml", MODEL, metavar="FILE")] = None
    shape: Annotated[
        Text, _option("tokens at which tokens/s are rated [2048:256]", MODEL, metavar="IN:OUT")
    ] = None
    share: Annotated[
        Text, _option("how a chunk shares a GPU [slots]", MODEL, metavar="slots|time")
    ] = None
    cloud: Annotated[Text, _option("of the workspace [aws]", PRICE, metavar="aws|azure|gcp")] = None
    region: Annotated[Text, _option("of the workspace [us-east-1]", PRICE, metavar="NAME")] = None
    price_tier: Annotated[
        Text, _option("of the hourly rate [scaling]", PRICE, metavar="scaling|entry")
    ] = None
    dbu_per_chunk_hour: Annotated[
        Number, _option("rate of one chunk or step", PRICE, metavar="X")
    ] = None
    usd_per_dbu: Annotated[Number, _option("price of a DBU", PRICE, metavar="X")] = None
    usd_per_chunk_hour: Annotated[
        Number, _option("rate of one chunk or step", PRICE, metavar="X")
    ] = None
    input_price: Annotated[
        Number, _option("pay-per-token, USD per million input tokens", PRICE, metavar="X")
    ] = None
    output_price: Annotated[
        Number, _option("pay-per-token, USD per million output tokens", PRICE, metavar="X")
    ] = None


@dataclass(frozen=True, slots=True)
class PromiseFlags:
    """What is promised to the users of the endpoint."""

    ttft_p50: Annotated[
        Text, _option("time to first token, 50 % of requests", PROMISE, metavar="DURATION")
    ] = None
    ttft_p90: Annotated[
        Text, _option("time to first token, 90 % of requests", PROMISE, metavar="DURATION")
    ] = None
    ttft_p95: Annotated[
        Text, _option("time to first token, 95 % of requests", PROMISE, metavar="DURATION")
    ] = None
    ttft_p99: Annotated[
        Text, _option("time to first token, 99 % of requests", PROMISE, metavar="DURATION")
    ] = None
    tpot_p50: Annotated[
        Text, _option("time per output token, 50 % of requests", PROMISE, metavar="DURATION")
    ] = None
    tpot_p90: Annotated[
        Text, _option("time per output token, 90 % of requests", PROMISE, metavar="DURATION")
    ] = None
    tpot_p95: Annotated[
        Text, _option("time per output token, 95 % of requests", PROMISE, metavar="DURATION")
    ] = None
    tpot_p99: Annotated[
        Text, _option("time per output token, 99 % of requests", PROMISE, metavar="DURATION")
    ] = None
    e2e_p50: Annotated[
        Text, _option("time to last token, 50 % of requests", PROMISE, metavar="DURATION")
    ] = None
    e2e_p90: Annotated[
        Text, _option("time to last token, 90 % of requests", PROMISE, metavar="DURATION")
    ] = None
    e2e_p95: Annotated[
        Text, _option("time to last token, 95 % of requests", PROMISE, metavar="DURATION")
    ] = None
    e2e_p99: Annotated[
        Text, _option("time to last token, 99 % of requests", PROMISE, metavar="DURATION")
    ] = None
    max_refused: Annotated[
        Text, _option("refused for good, of those that arrived [0.1%]", PROMISE, metavar="SHARE")
    ] = None
    hold_in: Annotated[
        Text, _option("of futures in which all of this holds [90%]", PROMISE, metavar="SHARE")
    ] = None


@dataclass(frozen=True, slots=True)
class BehaviourFlags:
    """How the endpoint and its clients behave."""

    autoscaler: Annotated[
        Text, _option("how it scales [databricks]", ENDPOINT, metavar="databricks|hpa|fixed|FILE")
    ] = None
    start_delay: Annotated[
        Text, _option("until a new chunk serves [155s]", ENDPOINT, metavar="DURATION")
    ] = None
    start_chunks: Annotated[Whole, _option("chunks at the start", ENDPOINT, metavar="N")] = None
    queue_at: Annotated[
        Text, _option("where requests wait [endpoint]", ENDPOINT, metavar="endpoint|chunk")
    ] = None
    queue_limit: Annotated[
        Text,
        _option("requests that may wait per chunk [2 x its slots]", ENDPOINT, metavar="N|none"),
    ] = None
    retries: Annotated[Whole, _option("of a refused client [2]", ENDPOINT, metavar="N")] = None
    deadline: Annotated[
        Text, _option("no retry starts later [597s]", ENDPOINT, metavar="DURATION")
    ] = None
    overflow: Annotated[
        Text,
        _option("what becomes of a refused request [retry]", ENDPOINT, metavar="retry|spill|lose"),
    ] = None
    seed: Annotated[Whole, _option("of all draws [0]", ENDPOINT, metavar="N")] = None


@dataclass(frozen=True, slots=True)
class SearchFlags:
    """Which ranges are tried, beside what runs now, and on how many futures."""

    futures: Annotated[
        Whole, _option("futures to judge on, and to test the winner on [61]", SEARCH, metavar="N")
    ] = None
    workers: Annotated[Whole, _option("threads [one a core]", SEARCH, metavar="N")] = None
    allow_zero: Annotated[
        bool,
        typer.Option("--allow-zero", help="consider scaling to zero", rich_help_panel=SEARCH),
    ] = False
    current_min_chunks: Annotated[Whole, _option("of what runs now", SEARCH, metavar="N")] = None
    current_max_chunks: Annotated[Whole, _option("of what runs now", SEARCH, metavar="N")] = None


@dataclass(frozen=True, slots=True)
class CalibrationFlags:
    """What is known of the measured server, and how it is fitted."""

    chunks: Annotated[Whole, _option("servers that shared the load [1]", MEASURED, metavar="N")] = (
        None
    )
    per_chunk: Annotated[
        bool,
        typer.Option(
            "--per-chunk",
            help="measured on one chunk of the endpoint itself: never rated",
            rich_help_panel=MEASURED,
        ),
    ] = False
    max_sequences: Annotated[
        Whole, _option("of the server, if you know it [fitted]", MEASURED, metavar="N")
    ] = None
    token_budget: Annotated[
        Whole, _option("tokens of an iteration, likewise [fitted]", MEASURED, metavar="N")
    ] = None
    kv_tokens: Annotated[Whole, _option("KV memory, likewise [fitted]", MEASURED, metavar="N")] = (
        None
    )
    where: Annotated[
        list[str] | None,
        _option("rows of a table to take; may be repeated", MEASURED, metavar="COLUMN=VALUE"),
    ] = None
    request_shape: Annotated[
        str | None,
        _option(
            "tokens of the requests, where a file (locust's) does not say",
            MEASURED,
            metavar="IN:OUT",
        ),
    ] = None
    users: Annotated[Whole, _option("who waited for answers, likewise", MEASURED, metavar="N")] = (
        None
    )
    fit_fraction: Annotated[
        Number,
        _option("share of a run that is fitted; the rest is held out [0.6]", FIT, metavar="X"),
    ] = None
    fit_shape: Annotated[
        list[str] | None,
        _option(
            "shapes of a sweep that are fitted [the two most different]", FIT, metavar="IN:OUT"
        ),
    ] = None
    replicates: Annotated[
        Whole, _option("refits for the intervals, 0 for none [30]", FIT, metavar="N")
    ] = None
    seed: Annotated[Whole, _option("of all draws [0]", FIT, metavar="N")] = None


def takes(*groups: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of some groups; it is handed one filled dataclass a group, by keyword.

    The keyword is the group's name in lower case without "Flags".
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        keywords = {group: group.__name__.removesuffix("Flags").lower() for group in groups}
        # Once a function and once a group: evaluating annotations is most of what `--help` waits for.
        hints = get_type_hints(command, include_extras=True)
        annotations = {group: get_type_hints(group, include_extras=True) for group in groups}
        own = [
            parameter.replace(annotation=hints[name])
            for name, parameter in inspect.signature(command).parameters.items()
            if name not in keywords.values()
        ]
        flags = [
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=annotations[group][field.name],
            )
            for group in groups
            for field in fields(group)
        ]

        @functools.wraps(command)
        def run(**given: Any) -> Any:
            filled = {
                keyword: group(**{field.name: given.pop(field.name) for field in fields(group)})
                for group, keyword in keywords.items()
            }
            return command(**given, **filled)

        signature = inspect.Signature(
            [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + flags
        )
        run.__signature__ = signature  # type: ignore[attr-defined]
        run.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return run

    return decorate


class GroupedCommand(TyperCommand):
    """A command whose help is plain text with its flags by group; drawing boxes would take longer to
    import than the help takes to read."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and flags, a section a group."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
                section = getattr(parameter, "rich_help_panel", None) or kind
                sections.setdefault(section, []).append(record)
        for section, records in sections.items():
            with formatter.section(section):
                formatter.write_dl(records)


Json = Annotated[
    bool, typer.Option("--json", help="machine-readable on stdout", rich_help_panel=OUTPUT)
]
Form = Annotated[
    str,
    typer.Option(
        "--output", "-o", help="text or json", rich_help_panel=OUTPUT, metavar="text|json"
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", help="no progress", rich_help_panel=OUTPUT)]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help=f"defaults for flags [{CONFIG_NAME} if it is there]",
        metavar="FILE",
        show_default=False,
    ),
]
