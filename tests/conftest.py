"""What all tests share: how Hypothesis searches, and where real traces are found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

collect_ignore_glob = [
    "measured/*"
]  # how measured files were made, by tools that are not installed

# Nothing is timed: the first example of a test may compile the kernel, and the machine may be busy.
# In CI the draws are the same every time, so that a change is judged by what it did; everywhere
# else they are fresh.
UNTIMED = settings(deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fresh", UNTIMED)
settings.register_profile("ci", UNTIMED, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "fresh")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public traces and measurements, which is not part of the repository."""
    beside = Path(__file__).parents[2] / "shared"
    folder = Path(os.environ.get("PTPLAN_SHARED", beside))
    if not folder.is_dir():
        pytest.skip("no ../shared beside the checkout; PTPLAN_SHARED can name another folder")
    return folder
