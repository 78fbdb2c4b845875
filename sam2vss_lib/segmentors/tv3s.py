"""TV3S."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VARIANTS: Mapping[str, Mapping[str, Any]] = {}


class Tv3sHead:
    """Later."""
