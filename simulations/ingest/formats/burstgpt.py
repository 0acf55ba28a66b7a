"""BurstGPT: requests to ChatGPT and GPT-4 of a university campus; two layouts, one by name.

Later files insert `Session ID` and `Elapsed time` after the first column. `Timestamp` is in
seconds since the midnight, local time, before the first row. A request that failed has
`Response tokens` 0, and mostly `Request tokens` 0 as well; where every row has, it is no failure.
Source: github.com/HPMLL/BurstGPT, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

BURSTGPT = Layout(
    "burstgpt",
    "Timestamp",
    "Request tokens",
    "Response tokens",
    unit="s",
    zero_output_failed=True,
    served_by="Model",
)
