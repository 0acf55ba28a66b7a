"""Measurements in, a service out: what was measured, the search for the server, how far to trust it."""

from simulations.fit.calibration import Calibration, calibrate
from simulations.fit.importers import load_measurements
from simulations.fit.measurement import Limits, MeasuredLevel, MeasuredRun, known_limits

__all__ = [
    "Calibration",
    "Limits",
    "MeasuredLevel",
    "MeasuredRun",
    "calibrate",
    "known_limits",
    "load_measurements",
]
