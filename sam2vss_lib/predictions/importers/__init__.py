"""Readers of other systems' predictions on disk."""

from sam2vss_lib.predictions.importers.convert import FORMATS, convert_predictions, open_predictions
from sam2vss_lib.predictions.importers.sources import PredictionSource

__all__ = ["FORMATS", "PredictionSource", "convert_predictions", "open_predictions"]
