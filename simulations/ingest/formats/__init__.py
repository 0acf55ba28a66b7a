"""One file a format: which columns it has and where that is known from."""

from simulations.ingest.formats.azure import AZURE
from simulations.ingest.formats.ptplan import PTPLAN
from simulations.ingest.formats.vidur import VIDUR

__all__ = ["AZURE", "PTPLAN", "VIDUR"]
