"""`python -m sam2vss_lib.cli` is `sam2vss`."""

from sam2vss_lib.cli import app

app()
