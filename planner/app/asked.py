"""What the form asks: fields as text in, the flags of `ptplan recommend` out, and the command that does the same.

A field is a flag under its own name, so that every complaint and every command fits both. Nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from planner.catalogue import Model, chunk_of, model_for, models, parse_model_name, step_of
from planner.flags import BehaviourFlags, ChangeFlags, ModelFlags, PromiseFlags
from reports import numbers
from simulations.errors import InputError, PtplanError

DEFAULTS = {
    "model": "system.ai.llama_v3_3_70b_instruct:1",
    "ttft_percentile": "95",
    "ttft_s": "2",
    "tpot_percentile": "95",
    "tpot_ms": "0",
    "e2e_percentile": "95",
    "e2e_s": "0",
    "max_refused": "0.1%",
    "hold_in": "90%",
    "futures": "61",
    "sensitivity": "on",
}
"""What the form shows at first; the promise is that of `ptplan recommend`."""

REFUSED = ("0%", "0.01%", "0.1%", "0.5%", "1%", "5%")
HOLD_IN = ("50%", "80%", "90%", "95%", "99%")
FUTURES = ("1", "5", "20", "61", "120")
PERCENTILES = ("50", "90", "95", "99")

MOST_OFFERED = 64
"""Multiples of a chunk that a selection offers."""

WHOLE = {"chunk_tokens_per_s", "unit_step", "tokens_per_s_per_step"}
NUMBERS = {"usd_per_chunk_hour", "dbu_per_chunk_hour", "usd_per_dbu", "input_price", "output_price"}
MODEL_FIELDS = (
    *("model", "base_model", "chunk_tokens_per_s", "unit_step", "tokens_per_s_per_step"),
    *("cloud", "region", "price_tier", "usd_per_chunk_hour", "dbu_per_chunk_hour", "usd_per_dbu"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """One question.

    Args:
        form: as it was filled in.
        model, promise, behaviour, change: the same as the flags of the command line.
        endpoint: its name, or None.
        own: (minimum, maximum) in chunks or steps that is to be put beside the answer, or None; the answer does not
            depend on it.
        futures: to judge on.
        sensitivity: whether also to say what would change the answer.
        allow_zero: whether to consider scaling to zero.
    """

    form: Mapping[str, str]
    model: ModelFlags
    promise: PromiseFlags
    behaviour: BehaviourFlags
    change: ChangeFlags
    endpoint: str | None
    own: tuple[int, int] | None
    futures: int
    sensitivity: bool
    allow_zero: bool

    def command(self, name: str, reading: Mapping[str, str]) -> list[str]:
        """Return the command line that asks the same of a file.

        Args:
            name: of the file.
            reading: flags of how it is read.
        """
        words = ["ptplan", "recommend", name]
        for flags in (self.model, self.promise, self.behaviour, self.change):
            for field in fields(flags):
                value = getattr(flags, field.name)
                if value is not None:
                    words += [f"--{field.name.replace('_', '-')}", str(value)]
        for key, text in reading.items():
            words += [f"--{key.replace('_', '-')}", text]
        if self.endpoint:
            words += ["--endpoint", self.endpoint]
        if self.allow_zero:
            words.append("--allow-zero")
        return [*words, "--futures", str(self.futures)]


def asked_of(form: Mapping[str, str]) -> Asked:
    """Return what a form asks.

    Raises:
        InputError: a field cannot be used; the text names it.
    """
    given = {key: text.strip() for key, text in form.items() if text.strip()}
    model: dict[str, Any] = {key: given[key] for key in MODEL_FIELDS if key in given}
    model |= {key: _whole(key, given[key]) for key in WHOLE & model.keys()}
    model |= {key: _number(key, given[key]) for key in NUMBERS & model.keys()}
    promise = {
        f"{metric}_p{_one_of(f'{metric}_percentile', given.get(f'{metric}_percentile', '95'), PERCENTILES)}": (
            f"{amount:g}{unit}"
        )
        for metric, unit in (("ttft", "s"), ("tpot", "ms"), ("e2e", "s"))
        if (amount := _number(f"{metric}_{unit}", given.get(f"{metric}_{unit}", "0"))) > 0
    }
    low, high = given.get("own_min"), given.get("own_max")
    own = None
    if high is not None:
        top = _whole("own_max", high)
        own = (min(top, _whole("own_min", low)) if low is not None else top, top)
    return Asked(
        form=dict(form),
        model=ModelFlags(**model),
        promise=PromiseFlags(
            **promise,
            max_refused=given.get("max_refused"),
            hold_in=given.get("hold_in"),
        ),
        behaviour=BehaviourFlags(
            start_delay=given.get("start_delay"), overflow=given.get("overflow")
        ),
        change=ChangeFlags(
            growth=_number("growth", given["growth"]) if "growth" in given else None
        ),
        endpoint=given.get("endpoint"),
        own=own,
        futures=_whole("futures", given.get("futures", "61")),
        sensitivity="sensitivity" in given,
        allow_zero="allow_zero" in given,
    )


@dataclass(frozen=True, slots=True)
class Size:
    """In what steps a model is sold, as far as a form needs to know.

    Args:
        in_units: whether in model units.
        step_tokens_per_s: what one step serves.
        step_units: units of a step, for model units.
        source: where that comes from.
    """

    in_units: bool
    step_tokens_per_s: int
    step_units: int | None
    source: str

    def choices(self, most: int = MOST_OFFERED) -> list[tuple[int, str]]:
        """Return multiples of a step with their names, as the console offers them."""
        return [(n, self.named(n)) for n in range(1, most + 1)]

    def named(self, n: int) -> str:
        """Return so many steps in words.

        >>> Size(False, 980, None, "").named(2)
        '1,960 tokens/s (2 chunks)'
        """
        if self.in_units:
            assert self.step_units is not None
            return numbers.counted(n * self.step_units, "model unit")
        return f"{numbers.tokens_per_s(n * self.step_tokens_per_s)} ({numbers.counted(n, 'chunk')})"


def size_of(form: Mapping[str, str]) -> Size:
    """Return in what steps the model of a form is sold.

    Raises:
        InputError: the model is not known, or nothing is known of its size.
    """
    given = {key: text.strip() for key, text in form.items() if text.strip()}
    if "model" not in given:
        raise InputError("choose a model, or write the name of your own")
    sizes = {key: _whole(key, given[key]) if key in given else None for key in WHOLE}
    described = model_for(
        given["model"],
        base_model=given.get("base_model"),
        chunk_tokens_per_s=sizes["chunk_tokens_per_s"],
        unit_step=sizes["unit_step"],
        tokens_per_s_per_step=sizes["tokens_per_s_per_step"],
    )
    if described.kind == "model_units":
        step = step_of(
            described,
            unit_step=sizes["unit_step"],
            tokens_per_s_per_step=sizes["tokens_per_s_per_step"],
        )
        return Size(True, step.tokens_per_s, step.step_units, step.source)
    version = parse_model_name(given["model"])[1]
    chunk = chunk_of(described, version=version, tokens_per_s=sizes["chunk_tokens_per_s"])
    return Size(False, chunk.tokens_per_s, None, chunk.source)


def catalogue_names() -> list[tuple[str, str]]:
    """Return the models that can be provisioned, by name with version, each with its name for people."""
    return [
        (f"{name}:{version}" if version else name, f"{model.family}{_sold(model)}")
        for name, model in models().items()
        if model.kind != "pay_per_token" and not model.retired
        for version in [next((c.version for c in model.chunks if c.seen_as == "chunk"), None)]
        if _has_size(name)
    ]


def _sold(model: Model) -> str:
    return ", model units" if model.kind == "model_units" else ""


def _has_size(name: str) -> bool:
    try:
        size_of({"model": name})
    except PtplanError:
        return False
    return True


def _whole(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise InputError(f"{_label(name)} is {text!r}; must be a whole number")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e12:
        raise InputError(f"{_label(name)} is {text!r}; must be a number of at least 0")
    return value


def _one_of(name: str, text: str, allowed: tuple[str, ...]) -> str:
    if text not in allowed:
        raise InputError(f"{_label(name)} is {text!r}; must be one of {', '.join(allowed)}")
    return text


def _label(name: str) -> str:
    return name.replace("_", " ")
