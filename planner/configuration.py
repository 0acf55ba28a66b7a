"""ptplan.toml: defaults for flags, at the top for every command that has them, in a table for one command."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from simulations.errors import InputError

CONFIG_NAME = "ptplan.toml"


def configured(
    arguments: list[str], flags: Callable[[], dict[str, set[str]]]
) -> dict[str, dict[str, Any]]:
    """Return the flags' defaults from the config file, by command; flags given override them.

    Args:
        arguments: the command line, for --config.
        flags: returns the flags of every command, with underscores; asked only if there is a file.

    Raises:
        InputError: the file cannot be read, or names what is no command or flag.
    """
    named = _named(arguments)
    path = Path(CONFIG_NAME if named is None else named)
    if named is None and not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise InputError(f"{path} is no configuration: {error}") from error
    known = flags()
    shared = {key: value for key, value in document.items() if not isinstance(value, dict)}
    every = set().union(*known.values())
    result: dict[str, Any] = {name: {} for name in known}
    for key, value in shared.items():
        _require_plain(path, key, value)
        flag = key.replace("-", "_")
        if flag not in every:
            raise InputError(
                f"{path}: {key!r} is no flag of any command; see ptplan recommend --help"
            )
        for name in known:
            if flag in known[name]:
                result[name][flag] = value
    for name, table in document.items():
        if not isinstance(table, dict):
            continue
        if name not in known:
            raise InputError(
                f"{path}: [{name}] is no command; commands are {', '.join(sorted(known))}"
            )
        for key, value in table.items():
            _require_plain(path, key, value)
            flag = key.replace("-", "_")
            if flag not in known[name]:
                raise InputError(f"{path}: {key!r} in [{name}] is no flag of {name}")
            result[name][flag] = value
    return result


def _require_plain(path: Path, key: str, value: Any) -> None:
    if not isinstance(value, str | int | float):
        raise InputError(f"{path}: {key} is {value}; must be text, a number or true or false")


def _named(arguments: list[str]) -> str | None:
    """Return the file that the command line names; what follows `--` is no flag."""
    given = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for place, flag in enumerate(given):
        if flag == "--config" and place + 1 < len(given):
            return given[place + 1]
        if flag.startswith("--config="):
            return flag.removeprefix("--config=")
    return None
