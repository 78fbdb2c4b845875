"""Label maps of the clips: the project's folder of PNGs, and everybody else's formats."""

from sam2vss_lib.predictions.folder import PredictionFolder, write_labels

__all__ = ["PredictionFolder", "write_labels"]
