"""A small study with a coarse base system, for notebooks that refine predictions."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.study.run.runner import find_notebooks, plan_notebook, run_notebook


@dataclass(frozen=True)
class CoarseStudy:
    """A notebook with the parameters of one run.

    Attributes:
        notebook: to be run.
        plan: its parameters.
        predictions: of the base system.
    """

    notebook: Path
    plan: dict[str, Any]
    predictions: PredictionFolder

    @property
    def out(self) -> Path:
        """Folder of the results."""
        return Path(self.plan["out_dir"])

    def run(self) -> None:
        """Run the notebook."""
        run_notebook(self.notebook, self.plan)


def coarse_study(
    number: str, root: Path, absent: tuple[str, str] | None = None, **settings: Any
) -> CoarseStudy:
    """Plan a notebook with coarse predictions as base system; everything is kept beside `root`.

    Args:
        number: of the notebook.
        root: data set root.
        absent: method and backbone of a second base system, without predictions.
        settings: further parameters.
    """
    predictions = coarse_predictions(root, root.with_name("predictions"))
    places = [("Coarse", "x8", predictions.root)]
    if absent is not None:
        places.append((*absent, root.with_name("nowhere")))
    systems = [{"method": m, "backbone": b, "predictions": str(path)} for m, b, path in places]
    overrides = {"dataset": str(root), "base_systems": systems, "device": "cpu", **settings}
    (notebook,) = find_notebooks(number)
    plan = plan_notebook(notebook, "demo", root.with_name("results"), overrides)
    return CoarseStudy(notebook, plan, predictions)


def coarse_predictions(root: Path, out: Path) -> PredictionFolder:
    """Ground truth at an eighth of its resolution: coarse outlines, as a base model's."""
    dataset = open_dataset(root, "val")
    folder = PredictionFolder(out, dataset.num_classes)
    for clip in dataset:
        for i in range(clip.num_frames):
            height, width = clip.size
            labels = Image.fromarray(np.where(clip.ground_truth(i) == 255, 0, clip.ground_truth(i)))
            small = labels.resize((width // 8, height // 8), Image.Resampling.NEAREST)
            folder.write(
                clip, i, np.asarray(small.resize((width, height), Image.Resampling.NEAREST))
            )
    return folder
