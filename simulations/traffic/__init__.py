"""Traffic that never happened: generators of traces. The only place where anything is random."""

from simulations.traffic.bootstrap import Bootstrap
from simulations.traffic.description import Description, load_description
from simulations.traffic.futures import RECORDED, Change, Futures
from simulations.traffic.generator import generate
from simulations.traffic.lengths import LogNormal
from simulations.traffic.seasonal import SeasonalRate
from simulations.traffic.spreading import spread

__all__ = [
    "RECORDED",
    "Bootstrap",
    "Change",
    "Description",
    "Futures",
    "LogNormal",
    "SeasonalRate",
    "generate",
    "load_description",
    "spread",
]
