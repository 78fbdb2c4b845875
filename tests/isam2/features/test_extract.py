"""The feature stage: rows against slow pooling and counting, labels, resumption, refusals."""

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from sam2vss_lib.datasets import VOID, Dataset, open_dataset
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.features import (
    FeatureSettings,
    FeatureStore,
    extract_features,
    sample_frames,
)
from sam2vss_lib.isam2.features import extract as extract_module
from sam2vss_lib.masklets.store import MaskletStore
from tests.isam2.features.common import colour_encoder, tiny_masks, write_tiny_masklets
from tests.oracles import pooling as oracle


@pytest.fixture
def dataset(tiny_vspw: Path) -> Dataset:
    return open_dataset(tiny_vspw, "val")


@pytest.fixture
def masklets(dataset: Dataset, tmp_path: Path) -> MaskletStore:
    store = MaskletStore(tmp_path / "masklets")
    write_tiny_masklets(store, dataset)
    return store


@pytest.fixture
def out(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "features")


def expected_rows(dataset: Dataset, settings: FeatureSettings) -> dict[tuple, tuple]:
    """Mean, pixels, label, purity and share of void by clip, masklet and frame; all by loops."""
    encoder, rows = colour_encoder(), dict[tuple, tuple]()
    for number, clip in enumerate(dataset):
        anchor = first = 0
        for masks in tiny_masks(number):
            steps = range(0, len(masks), settings.frame_stride)
            groups = [list(steps)] if settings.pool == "masklet" else [[t] for t in steps]
            for group in groups:
                for i in range(masks.shape[1]):
                    frames = [(encoder.encode(clip.frame(anchor + t)), masks[t, i]) for t in group]
                    mean, pixels = oracle.pool([(f.numpy(), mask) for f, mask in frames])
                    if mean is None:
                        continue
                    under = [clip.ground_truth(anchor + t)[masks[t, i]].tolist() for t in group]
                    count = Counter(value for part in under for value in part)
                    void = count.pop(VOID, 0)
                    most = max(count.values(), default=0)
                    label = min((c for c, n in count.items() if n == most), default=VOID)
                    purity = most / (pixels - void) if pixels > void else 0
                    frame = -1 if settings.pool == "masklet" else anchor + group[0]
                    key = (clip.name, first + i, frame)
                    rows[key] = (mean, pixels, label, purity, void / pixels)
            anchor, first = anchor + len(masks), first + masks.shape[1]
    return rows


@pytest.mark.parametrize(
    "settings",
    [
        FeatureSettings(dtype="float32"),
        FeatureSettings(pool="frame", dtype="float32"),
        FeatureSettings(frame_stride=2, dtype="float32"),
    ],
)
def test_rows_as_by_loops(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore, settings: FeatureSettings
) -> None:
    assert extract_features(dataset, masklets, colour_encoder(), out, settings) == 0
    wanted, found = expected_rows(dataset, settings), dict[tuple, tuple]()
    for clip in dataset:
        rows = out.read(clip.name).rows
        for i in range(len(rows)):
            assert rows.window[i] == rows.masklet[i] // 4
            values = (rows.area_px[i], rows.label[i], rows.purity[i], rows.void_share[i])
            found[clip.name, int(rows.masklet[i]), int(rows.frame[i])] = (rows.features[i], *values)
    assert found.keys() == wanted.keys()
    for key, (mean, *values) in wanted.items():
        np.testing.assert_allclose(found[key][0], mean, rtol=1e-5)
        np.testing.assert_allclose(found[key][1:], values, rtol=1e-6, atol=1e-6)


def test_anybody_can_read_the_file(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore
) -> None:
    extract_features(dataset, masklets, colour_encoder(), out)
    table = pd.read_parquet(out.path("first"))
    assert list(table) == [
        *("clip", "window", "masklet", "frame", "area_px", "label", "purity", "void_share"),
        "feature",
    ]
    assert set(table["clip"]) == {"first"}
    features = np.stack(table["feature"].tolist())
    assert features.dtype == np.float16
    assert np.array_equal(features, out.read("first").rows.features)
    assert pq.read_schema(out.path("first")).field("feature").type.list_size == 3
    about = out.metadata("first")
    assert about["encoder"] == {"name": "colour", "sha256": "e" * 64, "dim": 3, "stride": 4}
    assert (about["num_classes"], about["settings"]["pool"]) == (3, "masklet")


def test_without_labels_no_ground_truth_is_read(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore
) -> None:
    for clip in dataset:
        shutil.rmtree(clip.mask_path(0).parent)
    bare = open_dataset(dataset.root, "val")
    extract_features(bare, masklets, colour_encoder(), out, with_labels=False)
    rows = out.read("first").rows
    assert len(rows) == 6
    assert set(rows.label.tolist()) == {VOID}
    with pytest.raises(DataError, match="has no masks"):
        extract_features(bare, masklets, colour_encoder(), FeatureStore(out.root / "labelled"))


def test_finished_clips_are_reused_and_others_made(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    extract_features(dataset, masklets, colour_encoder(), out, progress=done.append)
    assert done == ["first", "second"]
    before = out.path("second").read_bytes()
    out.path("second").unlink()
    made = list[str]()
    rows_of = extract_module._clip_rows
    monkeypatch.setattr(
        extract_module,
        "_clip_rows",
        lambda clip, *rest: [made.append(clip.name)] and rows_of(clip, *rest),
    )
    assert extract_features(dataset, masklets, colour_encoder(), out) == 1
    assert made == ["second"]
    assert out.path("second").read_bytes() == before


def test_other_inputs_are_refused(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore
) -> None:
    extract_features(dataset, masklets, colour_encoder(), out)
    with pytest.raises(DataError, match=r"settings\.pool is masklet, not frame"):
        extract_features(dataset, masklets, colour_encoder(), out, FeatureSettings(pool="frame"))
    with pytest.raises(DataError, match=r"encoder\.sha256 is eeeeeeeeeeee\.\.\., not ffff"):
        extract_features(dataset, masklets, colour_encoder(sha256="f" * 64), out)
    path = dataset.clips[0].mask_path(0)
    path.write_bytes(dataset.clips[0].mask_path(1).read_bytes())
    with pytest.raises(DataError, match="truth_sha256"):
        extract_features(dataset, masklets, colour_encoder(), out)
    write_tiny_masklets(masklets, replace(dataset, clips=dataset.clips[::-1]))
    with pytest.raises(DataError, match="masklets_sha256"):
        extract_features(dataset, masklets, colour_encoder(), out)


def test_features_too_large_for_half_precision_are_refused(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore
) -> None:
    large = colour_encoder(factor=1e4)
    with pytest.raises(DataError, match=r"do not fit float16; use float32"):
        extract_features(dataset, masklets, large, out)
    assert not out.path("first").exists()
    extract_features(dataset, masklets, large, out, FeatureSettings(dtype="float32"))


def test_sampled_frames(dataset: Dataset) -> None:
    sampled = sample_frames(dataset, 2)
    for clip, whole in zip(sampled, dataset, strict=True):
        assert clip.frames == whole.frames[::2]
        assert np.array_equal(clip.ground_truth(1), whole.ground_truth(2))
    assert sample_frames(dataset, 1) == dataset
    with pytest.raises(SettingsError, match="step is 0"):
        sample_frames(dataset, 0)


def test_clip_without_masklets_has_no_rows(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore
) -> None:
    none = [part[:, :0] for part in tiny_masks(0)]
    write_tiny_masklets(masklets, dataset, {clip.name: none for clip in dataset})
    extract_features(dataset, masklets, colour_encoder(), out)
    assert out.read("first").rows.features.shape == (0, 3)


def rewrite(path: Path, drop: list[str], *, checksum: bool = True) -> None:
    pq.write_table(pq.read_table(path).drop(drop), path)
    if not checksum:
        path.with_name(f"{path.name}.sha256").unlink()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), "no features of clip first"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "no feature file"),
        (lambda path: pd.DataFrame({"a": [1]}).to_parquet(path), "no metadata 'format_version'"),
        (lambda path: rewrite(path, drop=["purity"]), "changed since it was written"),
        (lambda path: rewrite(path, drop=["purity"], checksum=False), "columns differ"),
    ],
)
def test_damaged_files_give_one_line(
    dataset: Dataset, masklets: MaskletStore, out: FeatureStore, damage, message: str
) -> None:
    extract_features(dataset, masklets, colour_encoder(), out)
    damage(out.path("first"))
    with pytest.raises(DataError, match=message) as caught:
        out.read("first")
    assert "\n" not in str(caught.value)
