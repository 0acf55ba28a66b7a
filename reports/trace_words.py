"""What is said of a described trace: when it began, and what to see in each figure.

Takes the data of `describe --json`; imports nothing that draws, so that a terminal can say the same
as a page. Knows nothing of HTML or colours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from reports import numbers

WINDOWS = (("1s", "1 s"), ("1m", "1 min"), ("5m", "5 min"))
LENGTHS = ("mean", "p50", "p95", "p99", "max")
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
HOURS_PER_DAY = 24


def began(epoch: str | None) -> str:
    """Return when a trace began, to the second.

    >>> began("2023-11-16T18:15:46.680590000Z"), began(None)
    ('2023-11-16 18:15:46 UTC', '')
    """
    return "" if epoch is None else f"{epoch[:19].replace('T', ' ')} UTC"


def rate_sentence(data: Mapping[str, Any]) -> str:
    """Return what to see in the figure of rates over time."""
    rates = data["rate_over_time"]
    if not rates["t_s"]:
        return "The recording is too short for a rate over time."
    tokens = np.asarray(rates["tokens_per_s"], dtype=float)
    peak = int(tokens.argmax())
    at_s = rates["t_s"][peak]
    when = f"{numbers.duration(at_s)} after the first request" if at_s else "at the start"
    requests = numbers.count(float(np.max(rates["requests_per_s"])))
    idle = int(np.count_nonzero(tokens == 0))
    text = (
        f"Means over {numbers.duration(rates['width_s'])}: at most {requests} requests/s; at most "
        f"{numbers.tokens_per_s(float(tokens[peak]))}, {when}"
    )
    if idle:
        text += f"; in {numbers.percent(idle / len(tokens))} of them nothing arrives"
    return text + "."


def hour_sentence(data: Mapping[str, Any]) -> str:
    """Return what to see in the map of the week."""
    loads = {
        hour: load for hour, load in enumerate(data["load_by_hour_of_week"]) if load is not None
    }
    highest, lowest = max(loads, key=loads.__getitem__), min(loads, key=loads.__getitem__)
    text = (
        f"The busiest hour begins {_hour_name(highest)} ({numbers.tokens_per_s(loads[highest])}), "
        f"the quietest {_hour_name(lowest)} ({numbers.tokens_per_s(loads[lowest])})."
    )
    unseen = len(data["load_by_hour_of_week"]) - len(loads)
    if unseen:
        text += f" {numbers.counted(unseen, 'hour')} of the week {'is' if unseen == 1 else 'are'} not in the recording."
    return text


def _hour_name(hour: int) -> str:
    return f"{DAYS[hour // HOURS_PER_DAY]} {hour % HOURS_PER_DAY:02}:00 UTC"


def length_sentence(data: Mapping[str, Any]) -> str:
    """Return what to see in the figure of token counts."""
    parts = [
        f"half of the {what}s have at most {numbers.counted(values['p50'], 'token')}, "
        f"95 % at most {numbers.count(values['p95'])}, 99 % at most {numbers.count(values['p99'])}"
        for what, values in (("input", data["input_tokens"]), ("output", data["output_tokens"]))
    ]
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
