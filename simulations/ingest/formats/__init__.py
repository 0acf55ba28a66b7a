"""One file a format: which columns it has and where that is known from."""

from simulations.ingest.formats.aggregate import AGGREGATE
from simulations.ingest.formats.azure import AZURE
from simulations.ingest.formats.bailian import BAILIAN
from simulations.ingest.formats.burstgpt import BURSTGPT
from simulations.ingest.formats.endpoint_usage import ENDPOINT_USAGE
from simulations.ingest.formats.gateway_usage import GATEWAY_USAGE
from simulations.ingest.formats.inference_table import (
    GATEWAY_TABLE,
    INFERENCE_TABLE,
    LEGACY_TABLE,
)
from simulations.ingest.formats.mooncake import MOONCAKE
from simulations.ingest.formats.openai import OPENAI_CHAT, OPENAI_RESPONSES
from simulations.ingest.formats.ptplan import PTPLAN
from simulations.ingest.formats.replay import REPLAY
from simulations.ingest.formats.slosizer import SLOSIZER
from simulations.ingest.formats.vidur import VIDUR

__all__ = [
    "AGGREGATE",
    "AZURE",
    "BAILIAN",
    "BURSTGPT",
    "ENDPOINT_USAGE",
    "GATEWAY_TABLE",
    "GATEWAY_USAGE",
    "INFERENCE_TABLE",
    "LEGACY_TABLE",
    "MOONCAKE",
    "OPENAI_CHAT",
    "OPENAI_RESPONSES",
    "PTPLAN",
    "REPLAY",
    "SLOSIZER",
    "VIDUR",
]
