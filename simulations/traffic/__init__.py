"""Traffic that never happened: generators of traces. The only place where anything is random."""

from simulations.traffic.bootstrap import Bootstrap
from simulations.traffic.bursts import Bursts
from simulations.traffic.clients import Client, Clients
from simulations.traffic.continuation import Continuation
from simulations.traffic.description import Description
from simulations.traffic.description_file import (
    description_text,
    is_description,
    load_description,
)
from simulations.traffic.events import Event
from simulations.traffic.futures import RECORDED, Change, Futures
from simulations.traffic.generator import generate
from simulations.traffic.lengths import LogNormal
from simulations.traffic.on_off import OnOff
from simulations.traffic.quantiles import QuantileTable
from simulations.traffic.renewal import Renewal
from simulations.traffic.seasonal import SeasonalRate
from simulations.traffic.spreading import spread
from simulations.traffic.stepped import SteppedRate
from simulations.traffic.tail import ParetoTail

__all__ = [
    "RECORDED",
    "Bootstrap",
    "Bursts",
    "Change",
    "Client",
    "Clients",
    "Continuation",
    "Description",
    "Event",
    "Futures",
    "LogNormal",
    "OnOff",
    "ParetoTail",
    "QuantileTable",
    "Renewal",
    "SeasonalRate",
    "SteppedRate",
    "description_text",
    "generate",
    "is_description",
    "load_description",
    "spread",
]
