"""Timings on this machine: `python -m benchmarks`. They print and assert nothing."""
