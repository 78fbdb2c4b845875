"""Real video by the command line: masklets, refinement of coarse labels, metrics by the oracles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import open_dataset
from sam2vss_lib.predictions.folder import PredictionFolder
from tests.metrics.clips import oracle_values
from tests.notebooks.common import coarse_predictions

MASKLETS = ("--checkpoint", "demo", "--window", 5, "--points-per-side", 4)


def call(*arguments: Any) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*(str(a) for a in arguments), "--device", "cpu", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def shrink(source: Path, root: Path, divisor: int, frames: int, clips: int) -> Path:
    """The first frames of the first clips at a fraction of their size, as the oracles are slow."""
    whole = open_dataset(source, "val").take(clips)
    for clip in whole:
        for path_of in (clip.frame_path, clip.mask_path):
            for i in range(frames):
                path = root / path_of(i).relative_to(whole.root)
                path.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(path_of(i)) as image:
                    size = (image.width // divisor, image.height // divisor)
                    image.resize(size, Image.Resampling.NEAREST).save(path)
    (root / "val.txt").write_text("\n".join(clip.name for clip in whole))
    (root / "classes.json").write_bytes((whole.root / "classes.json").read_bytes())
    return root


@pytest.mark.parametrize(
    ("divisor", "frames", "clips"),
    [(8, 9, 1), pytest.param(5, 18, 2, marks=pytest.mark.slow)],  # 9 and 17 frames for VC8, VC16
)
def test_masklets_refine_evaluate(
    shared_data: Path, tmp_path: Path, divisor: int, frames: int, clips: int
) -> None:
    root = shrink(shared_data / "camvid", tmp_path / "camvid", divisor, frames, clips)
    base, store = coarse_predictions(root, tmp_path / "base"), tmp_path / "store"
    refined = tmp_path / "out"
    made = call("masklets", "--dataset", root, *MASKLETS, "--out", store)
    assert made["frames"] == frames * clips
    assert made["masklets"] > 0
    call(
        "refine", "--dataset", root, "--predictions", base.root, "--masklets", store,
        "--out", refined,
    )  # fmt: skip
    found = call(
        "evaluate", "--dataset", root, "--predictions", refined, "--out", tmp_path / "metrics.json"
    )
    dataset = open_dataset(root, "val")
    folder = PredictionFolder(refined, dataset.num_classes)
    maps = {
        clip.name: (
            [folder.read(clip, i) for i in range(frames)],
            [clip.ground_truth(i) for i in range(frames)],
        )
        for clip in dataset
    }
    changed = [
        (base.read(clip, i) != folder.read(clip, i)).any()
        for clip in dataset
        for i in range(frames)
    ]
    assert all(changed)
    expected = oracle_values(maps, dataset.num_classes, (8, 16), (2, 5))
    values = {**found["variants"], "FWIoU": {"fwiou": found["metrics"]["FWIoU"]}}
    assert values.keys() == expected.keys()
    for metric, named in expected.items():
        ours = {name: np.nan if v is None else v for name, v in values[metric].items()}
        assert ours == pytest.approx(named, abs=1e-9, rel=0, nan_ok=True), metric
    headline = {"mIoU": "vspw", "mVC8": "vc_code", "mBIoU": "inner_image_r2"}
    for metric, name in headline.items():
        assert found["metrics"][metric] == pytest.approx(expected[metric][name], abs=1e-9, rel=0)
