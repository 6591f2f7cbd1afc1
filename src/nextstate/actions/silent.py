"""How it is said that nobody knows what was done."""

SILENT = "silent"
"""Of a batch of windows, ``(B,)`` bool: whose commands are not known. Senses that such windows lack are NaN."""
