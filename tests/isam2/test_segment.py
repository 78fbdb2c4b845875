"""I-SAM2: painting against a per-pixel oracle, void where nothing is known, and refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from sam2vss_lib.datasets import VOID, Dataset, open_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.classifiers.mlp import Classifier
from sam2vss_lib.isam2.classifiers.settings import ClassifierSettings
from sam2vss_lib.isam2.classifiers.training import fit
from sam2vss_lib.isam2.classifiers.training_set import read_training_set
from sam2vss_lib.isam2.features import FeatureSettings, FeatureStore, extract_features
from sam2vss_lib.isam2.segment import segment_masklets
from sam2vss_lib.masklets.store import MaskletStore
from sam2vss_lib.metrics import MetricSuite
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.settings import Overlap
from tests.conftest import TINY_CLASSES
from tests.isam2.features.common import colour_encoder, tiny_masks, write_tiny_masklets
from tests.oracles.refinement import Masklet, on_top

NUM_CLASSES = len(TINY_CLASSES)
SETTINGS = ClassifierSettings(hidden=8, epochs=3, lr=0.01)


@pytest.fixture
def dataset(tiny_vspw: Path) -> Dataset:
    return open_dataset(tiny_vspw, "val")


class Room:
    """The tiny data set with everything I-SAM2 needs, under one folder."""

    def __init__(self, dataset: Dataset, root: Path, pool: FeatureSettings | None = None) -> None:
        self.dataset, self.root = dataset, root
        self.masklets, self.features = MaskletStore(root / "masklets"), FeatureStore(root / "feats")
        write_tiny_masklets(self.masklets, dataset)
        self.extract(pool)
        clips = [clip.name for clip in dataset]
        self.classifier = fit(
            read_training_set(self.features, clips, SETTINGS), TINY_CLASSES, SETTINGS
        )

    def extract(self, pool: FeatureSettings | None = None) -> None:
        extract_features(self.dataset, self.masklets, colour_encoder(), self.features, pool)

    def base(self) -> PredictionFolder:
        """Predictions of no sense, void included."""
        folder, rng = PredictionFolder(self.root / "base", NUM_CLASSES), np.random.default_rng(5)
        for clip in self.dataset:
            for i in range(clip.num_frames):
                labels = rng.choice(np.array([0, 1, 2, VOID], np.uint8), clip.size)
                folder.write(clip, i, labels)
        return folder

    def out(self, name: str = "out") -> PredictionFolder:
        return PredictionFolder(self.root / name, NUM_CLASSES)


@pytest.fixture
def room(dataset: Dataset, tmp_path: Path) -> Room:
    return Room(dataset, tmp_path)


def painted_slowly(room: Room, overlap: str, fill: PredictionFolder | None) -> dict:
    """Labels by clip and frame, pixel by pixel."""
    result = {}
    for clip in room.dataset:
        rows = room.features.read(clip.name).rows
        found = room.classifier.classify(rows.features)
        keys = zip(rows.masklet.tolist(), rows.frame.tolist(), strict=True)
        known = dict(zip(keys, found.tolist(), strict=True))
        for window in room.masklets.read(clip.name).windows():
            for part in window:
                scores = [part.values(name) for name in ("predicted_iou", "stability")]
                masks, visible = part.masks(), part.masks("rle_visible")
                masklets = [
                    Masklet([masks[n]], [visible[n]], float(scores[0][n]), float(scores[1][n]))
                    for n in range(len(masks))
                ]
                ids = part.values("masklet").tolist()
                classes = [known.get((i, -1), known.get((i, part.frame))) for i in ids]
                labels = np.full(clip.size, VOID, np.uint8)
                if fill is not None:
                    labels = fill.read(clip, part.frame)
                for pixel in np.ndindex(*clip.size):
                    top = on_top(masklets, classes, 0, pixel, overlap)
                    labels[pixel] = labels[pixel] if top is None else top
                result[clip.name, part.frame] = labels
    return result


@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("overlap", get_args(Overlap))
def test_labels_as_pixel_by_pixel(room: Room, overlap: Overlap, filled: bool) -> None:
    fill, out = room.base() if filled else None, room.out()
    done = list[str]()
    reused = segment_masklets(
        *(room.dataset, room.masklets, room.features, room.classifier, out),
        fill=fill,
        overlap=overlap,
        progress=done.append,
    )
    assert (reused, done) == (0, ["first", "second"])
    for (name, frame), wanted in painted_slowly(room, overlap, fill).items():
        assert np.array_equal(out.read(room.dataset.clip(name), frame), wanted)


def test_classes_of_single_frames(dataset: Dataset, tmp_path: Path) -> None:
    room = Room(dataset, tmp_path, FeatureSettings(pool="frame"))
    out = room.out()
    segment_masklets(dataset, room.masklets, room.features, room.classifier, out)
    for (name, frame), wanted in painted_slowly(room, "area", None).items():
        assert np.array_equal(out.read(dataset.clip(name), frame), wanted)


def write_part_of_the_sky(dataset: Dataset, root: Path) -> tuple[MaskletStore, FeatureStore]:
    """A masklet of class 0 over the left three quarters of the sky, and nothing else."""
    masklets, features = MaskletStore(root / "m"), FeatureStore(root / "f")
    mask = np.zeros((5, 1, 24, 32), bool)
    mask[:, :, :10, 1:25] = True
    write_tiny_masklets(masklets, dataset, {clip.name: [mask] for clip in dataset})
    extract_features(dataset, masklets, colour_encoder(), features)
    return masklets, features


def test_uncovered_pixels_are_errors_and_not_ignored(dataset: Dataset, tmp_path: Path) -> None:
    masklets, features = write_part_of_the_sky(dataset, tmp_path)
    out = PredictionFolder(tmp_path / "out", NUM_CLASSES)
    segment_masklets(dataset, masklets, features, "ground_truth", out)
    suite = MetricSuite(NUM_CLASSES, window_lengths=(2,))
    for clip in dataset:
        for i in range(clip.num_frames):
            labels = out.read(clip, i)
            assert (labels[:10, 1:25] == 0).all()
            assert (labels == VOID).sum() == labels.size - 240
            suite.update(
                clip.name, torch.from_numpy(labels), torch.from_numpy(clip.ground_truth(i))
            )
    metrics = suite.compute(samples=2).metrics
    # sky: 240 of 310 pixels found, the rest missed; road and car: missed; nothing is a false alarm
    assert metrics["mIoU"] == pytest.approx(100 * (240 / 310) / 3)


def test_base_model_fills_what_is_uncovered(dataset: Dataset, tmp_path: Path, room: Room) -> None:
    masklets, features = write_part_of_the_sky(dataset, tmp_path)
    base, out = room.base(), PredictionFolder(tmp_path / "filled", NUM_CLASSES)
    segment_masklets(dataset, masklets, features, "ground_truth", out, fill=base)
    for clip in dataset:
        wanted = base.read(clip, 2)
        wanted[:10, 1:25] = 0
        assert np.array_equal(out.read(clip, 2), wanted)


def reordered(room: Room, root: Path, windows: list[np.ndarray], order: list[int]) -> np.ndarray:
    """Labels of the first clip with its masklets in another order."""
    masklets, features = MaskletStore(root / "masklets"), FeatureStore(root / "features")
    given = {clip.name: [part[:, order] for part in windows] for clip in room.dataset}
    write_tiny_masklets(masklets, room.dataset, given)
    extract_features(room.dataset, masklets, colour_encoder(), features)
    out = PredictionFolder(root / "out", NUM_CLASSES)
    segment_masklets(room.dataset, masklets, features, room.classifier, out)
    clip = room.dataset.clips[0]
    return np.stack([out.read(clip, i) for i in range(clip.num_frames)])


def test_order_of_masklets_is_of_no_matter_without_ties(room: Room, tmp_path: Path) -> None:
    windows = tiny_masks(3)
    for part in windows:  # different areas on every frame
        for frame in part:
            areas = frame[:-1].sum((1, 2)).tolist()
            assert len(set(areas)) == len(areas)
    plain = reordered(room, tmp_path / "a", windows, [0, 1, 2, 3])
    assert np.array_equal(plain, reordered(room, tmp_path / "b", windows, [2, 3, 0, 1]))


def test_among_equal_areas_the_later_masklet_is_on_top(dataset: Dataset, tmp_path: Path) -> None:
    for order in ([0, 1], [1, 0]):
        root = tmp_path / f"order{order[0]}"
        masklets, features = MaskletStore(root / "m"), FeatureStore(root / "f")
        mask = np.zeros((5, 2, 24, 32), bool)
        mask[:, 0, 4:11, 2:5] = True  # six rows of sky, one of road
        mask[:, 1, 9:16, 2:5] = True  # one row of sky, six of road
        given = {clip.name: [mask[:, order]] for clip in dataset}
        write_tiny_masklets(masklets, dataset, given)
        extract_features(dataset, masklets, colour_encoder(), features)
        out = PredictionFolder(root / "out", NUM_CLASSES)
        segment_masklets(dataset, masklets, features, "ground_truth", out)
        assert set(out.read(dataset.clips[0], 0)[9:11, 2:5].ravel().tolist()) == {order[1]}


def test_finished_clips_are_reused_and_stale_ones_refused(room: Room) -> None:
    data, masklets, features, out = room.dataset, room.masklets, room.features, room.out()
    segment_masklets(data, masklets, features, room.classifier, out)
    out.path(data.clips[1], 0).unlink()
    assert segment_masklets(data, masklets, features, room.classifier, out) == 1
    assert not out.missing(data.clips[1])
    elsewhere = room.out("elsewhere")
    elsewhere.write(data.clips[0], 0, np.zeros(data.clips[0].size, np.uint8))
    with pytest.raises(DataError, match="holds files of unknown origin"):
        segment_masklets(data, masklets, features, room.classifier, elsewhere)
    with pytest.raises(DataError, match="overlap is area, not logit"):
        segment_masklets(data, masklets, features, room.classifier, out, overlap="logit")
    with pytest.raises(DataError, match="classifier_sha256"):
        segment_masklets(data, masklets, features, "ground_truth", out)
    with pytest.raises(DataError, match="fill_label_offset is None"):
        segment_masklets(data, masklets, features, room.classifier, out, fill=room.base())


def other_classifier(classifier: Classifier, **encoder: object) -> Classifier:
    changed = {**classifier.encoder, **encoder}
    return Classifier(
        *(classifier.network, classifier.settings, classifier.class_names, changed, [], 1)
    )


def test_what_does_not_fit_is_refused(room: Room) -> None:
    data, masklets, features = room.dataset, room.masklets, room.features
    strange = other_classifier(room.classifier, sha256="f" * 64, name="other")
    with pytest.raises(DataError, match="trained on other"):
        segment_masklets(data, masklets, features, strange, room.out())
    four = PredictionFolder(room.root / "four", 4)
    with pytest.raises(SettingsError, match=r"numbers of classes differ: folder .* has 4"):
        segment_masklets(data, masklets, features, room.classifier, four)
    base = room.base()
    with pytest.raises(SettingsError, match="holds the predictions to fill with"):
        segment_masklets(data, masklets, features, room.classifier, base, fill=base)
    base.path(data.clips[0], 1).unlink()
    with pytest.raises(DataError, match="no such prediction"):
        segment_masklets(data, masklets, features, room.classifier, room.out(), fill=base)
    unlabelled = FeatureStore(room.root / "unlabelled")
    extract_features(data, masklets, colour_encoder(), unlabelled, with_labels=False)
    with pytest.raises(DataError, match="extracted without labels"):
        segment_masklets(data, masklets, unlabelled, "ground_truth", room.out())
    sparse = FeatureStore(room.root / "sparse")
    every_second = FeatureSettings(pool="frame", frame_stride=2)
    extract_features(data, masklets, colour_encoder(), sparse, every_second)
    with pytest.raises(SettingsError, match="holds one frame in 2"):
        segment_masklets(data, masklets, sparse, room.classifier, room.out())
    write_tiny_masklets(masklets, data, {clip.name: tiny_masks(9) for clip in data})
    with pytest.raises(DataError, match="features of other masklets"):
        segment_masklets(data, masklets, features, room.classifier, room.out())
    assert not room.out().root.exists()


@pytest.mark.parametrize("stage", ["refine", "features", "segment"])
def test_a_frame_replaced_after_the_masklets_is_seen_by_every_stage(room: Room, stage: str) -> None:
    clip = room.dataset.clips[0]
    path = room.masklets.path(clip.name)
    table = pq.read_table(path)
    metadata = {**table.schema.metadata, b"frames_sha256": clip.frames_sha256().encode()}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    room.masklets.checksum_path(clip.name).unlink()
    room.features = FeatureStore(room.root / "of these")
    room.extract()
    again = FeatureStore(room.root / "again")
    run: dict[str, Callable[[], int]] = {
        "refine": lambda: refine(room.dataset, room.base(), room.masklets, room.out()),
        "features": lambda: extract_features(
            room.dataset, room.masklets, colour_encoder(), again, with_labels=False
        ),
        "segment": lambda: segment_masklets(
            room.dataset, room.masklets, room.features, room.classifier, room.out()
        ),
    }
    frame = clip.frame_path(1)
    before = frame.read_bytes()
    height, width = clip.size
    Image.new("RGB", (width, height)).save(frame)
    with pytest.raises(DataError) as caught:
        run[stage]()
    line = str(caught.value)
    assert line.startswith(f"{path}: made with other inputs: frames_sha256 is ")
    assert f"frames of clip {clip.name} were replaced since; put them back, or move it away" in line
    frame.write_bytes(before)
    assert run[stage]() == 0
