"""Azure LLM inference traces of 2023 and 2024.

`TIMESTAMP` has 7 fractional digits and no zone (2023), or 6 or none at all and `+00:00` (2024).
Source: github.com/Azure/AzurePublicDataset, read 2026-11-22.
"""

from simulations.ingest.layout import Layout

AZURE = Layout("azure", "TIMESTAMP", "ContextTokens", "GeneratedTokens")
