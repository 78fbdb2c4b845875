"""Ratios of the masklet engine to stock sam2, measured side by side: `python -m benchmarks`."""
