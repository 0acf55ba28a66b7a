"""The version of the distribution."""

from __future__ import annotations


def version() -> str:
    """Return the version of the distribution, as installed."""
    from importlib import metadata

    return metadata.version("ptplan")
