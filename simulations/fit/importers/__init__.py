"""Files of load generators and logs in, measurements out: told by what is in them, never by their names."""

from simulations.fit.importers.reading import load_measurements

__all__ = ["load_measurements"]
