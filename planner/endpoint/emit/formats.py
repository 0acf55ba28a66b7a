"""The formats by name."""

from __future__ import annotations

from collections.abc import Callable

from planner.endpoint.emit import (
    bundle,
    console,
    curl,
    databricks_cli,
    mlflow_script,
    requests_script,
    rest,
    sdk_script,
    terraform,
)
from planner.endpoint.emit.order import Order
from simulations.errors import InputError

FORMATS: dict[str, Callable[[Order], str]] = {
    "rest": rest.write,
    "curl": curl.write,
    "requests": requests_script.write,
    "sdk": sdk_script.write,
    "mlflow": mlflow_script.write,
    "terraform": terraform.write,
    "bundle": bundle.write,
    "cli": databricks_cli.write,
    "console": console.write,
}


def emit(order: Order, form: str) -> str:
    """Return an order in a format; no token is in any of them.

    Raises:
        InputError: there is no such format, or it cannot say this.
    """
    if form not in FORMATS:
        raise InputError(f"--format is {form!r}; must be one of {', '.join(FORMATS)}")
    return FORMATS[form](order)
