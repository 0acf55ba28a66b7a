"""Traces that the Vidur simulator replays: seconds and two token counts.

Source: github.com/microsoft/vidur, `trace_replay`, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

VIDUR = Layout("vidur", "arrived_at", "num_prefill_tokens", "num_decode_tokens", unit="s")
