"""One file a format: which columns it has and where that is known from."""

from simulations.ingest.formats.azure import AZURE
from simulations.ingest.formats.burstgpt import BURSTGPT
from simulations.ingest.formats.endpoint_usage import ENDPOINT_USAGE
from simulations.ingest.formats.ptplan import PTPLAN
from simulations.ingest.formats.slosizer import SLOSIZER
from simulations.ingest.formats.vidur import VIDUR

__all__ = ["AZURE", "BURSTGPT", "ENDPOINT_USAGE", "PTPLAN", "SLOSIZER", "VIDUR"]
