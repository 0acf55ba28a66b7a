"""locust's statistics: how long answers took in all, and not of how many tokens.

`_stats.csv` has a row for each kind of request, `_stats_history.csv` one for each second. Both are of users who wait for
their answers. Tokens are not in them, so they are of use only where the user says of what shape the requests were; and
of a whole answer's time no part belongs to the first token, so what a prompt costs and what waiting cost stay untold.
Source: docs.locust.io/en/stable/retrieving-stats.html; locust 2.47.0 was run, 2026-11-22.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulations.fit.importers.document import Document, number
from simulations.fit.measurement import MeasuredLevel, Measurement
from simulations.trace import Shape

_PERCENTILES = {"50%": "e2e_p50", "90%": "e2e_p90", "95%": "e2e_p95", "99%": "e2e_p99"}
_FAILED_TOO_MANY = 0.5
_FEWEST = 5


def matches(columns: Any) -> bool:
    """Whether these are the columns of one of locust's two files."""
    return _is_stats(columns) or _is_history(columns)


def _is_stats(columns: Any) -> bool:
    return {"type", "name", "request count", "median response time"} <= set(columns)


def _is_history(columns: Any) -> bool:
    return {"user count", "name", "total request count", "total average response time"} <= set(
        columns
    )


def read(
    document: Document,
    columns: dict[str, list[str | None]],
    *,
    shape: Shape | None,
    users: int | None,
) -> list[Measurement]:
    """Return the level that a file of locust's is of.

    Args:
        document: for errors.
        columns: of the table.
        shape: of the requests, which is not in the file.
        users: who waited; a history has their number itself.

    Raises:
        MeasurementError: the shape or the number of users is not known, or nothing was served.
    """
    if shape is None:
        raise document.error(
            "is locust's statistics: latencies without tokens. Say of what shape its requests were with --request-shape IN:OUT "
            "(and --users, which only the history has), or log each request's tokens and times (arrival_s, input_tokens, "
            "output_tokens, ttft_s, e2e_s) and give that"
        )
    rows = [
        {name: (cells[at] or "").strip() for name, cells in columns.items()}
        for at in range(len(next(iter(columns.values()))))
    ]
    notes = [
        f"{document.path} holds times of whole answers alone: of these only what all of it takes together is told, "
        "not prefill_s, routing_s or sequence_s against context_s; its predictions hold for this shape and so many users"
    ]
    history = _is_history(columns)
    rows = [row for row in rows if row["name"] == "Aggregated"] or rows
    if len({row["name"] for row in rows}) > 1:
        raise document.error(
            "has several kinds of requests and no row Aggregated; choose with --where Name=..."
        )
    if not rows:
        raise document.error("has no row of requests")
    if history:
        told = max([0.0, *(count for row in rows if (count := number(row["user count"])) >= 1)])
        if not 1 <= told < 1e6:
            raise document.error("has no second in which there were users")
        # Before all users were there it was another load; the totals hold both.
        whole = sum(number(row["user count"]) == told for row in rows)
        if whole < 0.5 * len(rows):
            notes.append(
                f"{document.path}: for {len(rows) - whole} of {len(rows)} seconds there were fewer than {told:g} users, "
                "and its totals hold those too"
            )
        users = users or int(told)
        row, total = rows[-1], "total "
    else:
        row, total = rows[-1], ""
    if users is None:
        raise document.error("does not say how many users there were; give --users")
    n, failed = (
        number(row[f"{total}request count"]),
        np.nan_to_num(number(row[f"{total}failure count"])),
    )
    served = n - failed
    if not served >= _FEWEST:
        raise document.error(f"has {max(0, np.nan_to_num(served)):g} requests that were served")
    if failed > _FAILED_TOO_MANY * n:
        raise document.error(
            f"{failed:g} of {n:g} requests failed; what is left says little of the server, measure again"
        )
    if failed:
        notes.append(
            f"{document.path}: {failed:g} of {n:g} requests failed, and locust counts their times too"
        )
    figures = {"e2e_mean": number(row[f"{total}average response time"]) / 1e3}
    for column, name in _PERCENTILES.items():
        # Beyond it there are too few answers.
        if column in row and served * (1 - float(column[:-1]) / 100) >= 1:
            # A history's are of the last ten seconds each: the middle one stands for all.
            seen = [number(one[column]) for one in rows] if history else [number(row[column])]
            seen = [value for value in seen if value > 0]
            if seen:
                figures[name] = float(np.median(seen)) / 1e3
    known = {name: value for name, value in figures.items() if value > 0}
    if not known:
        raise document.error("has no response time above 0")
    return [
        MeasuredLevel(
            shape,
            known,
            users=users,
            n=int(served),
            origin=document.origin("locust"),
            notes=tuple(notes),
        )
    ]
