"""ptplan.toml: defaults for flags, at the top for every command that has them, in a table for one command."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from simulations.errors import InputError

CONFIG_NAME = "ptplan.toml"


def configured(arguments: list[str], known: dict[str, set[str]]) -> dict[str, Any]:
    """Return the flags' defaults from the config file, by command; flags given override them.

    Args:
        arguments: the command line, for --config.
        known: the flags of every command, with underscores.

    Raises:
        InputError: the file cannot be read, or names what is no command or flag.
    """
    named = [arguments[i + 1] for i in range(len(arguments) - 1) if arguments[i] == "--config"] + [
        a.removeprefix("--config=") for a in arguments if a.startswith("--config=")
    ]
    path = Path(named[0]) if named else Path(CONFIG_NAME)
    if not named and not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} cannot be read as configuration: {error}") from error
    shared = {key: value for key, value in document.items() if not isinstance(value, dict)}
    every = set().union(*known.values())
    result: dict[str, Any] = {name: {} for name in known}
    for key, value in shared.items():
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
            flag = key.replace("-", "_")
            if flag not in known[name]:
                raise InputError(f"{path}: {key!r} in [{name}] is no flag of {name}")
            result[name][flag] = value
    return result
