"""From masklets and an encoder to labelled feature rows, clip by clip, into the feature store."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sam2vss_lib.datasets import VOID, Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.isam2.encoders import Encoder, encode_frame, encoder_identity
from sam2vss_lib.isam2.feature_settings import FeatureSettings
from sam2vss_lib.isam2.features.pooling import MaskletPool, Pooled
from sam2vss_lib.isam2.features.store import WHOLE_WINDOW, FeatureRows, FeatureStore
from sam2vss_lib.masklets.store import ClipMasklets, FrameMasklets, MaskletStore
from sam2vss_lib.refinement.counting import count_votes, winning_classes
from sam2vss_lib.storage.records import check_same_inputs, sha256_files


def sample_frames(dataset: Dataset, step: int) -> Dataset:
    """The same clips with every `step`-th frame only, from the first.

    Where only some frames have ground truth, they are those, `step` or more apart. For training
    sets: with masklets of windows of one frame, nothing needs to be propagated, and
    frames far apart differ more. (The VSPW code trains on every 15th frame.)

    Raises:
        SettingsError: `step` is less than 1.
    """
    if step < 1:
        raise SettingsError(f"step is {step}; it must be at least 1")
    return replace(dataset, clips=tuple(_sampled(clip, step) for clip in dataset))


def _sampled(clip: Clip, step: int) -> Clip:
    """A clip's annotated frames that are at least `step` apart; any frames where none is."""
    kept: list[int] = []
    for i in clip.annotated or range(clip.num_frames):
        if not kept or i >= kept[-1] + step:
            kept.append(i)
    masks = tuple(clip.mask_files[i] for i in kept) if clip.mask_files else ()
    return replace(clip, frame_files=tuple(clip.frame_files[i] for i in kept), mask_files=masks)


def extract_features(
    dataset: Dataset,
    masklets: MaskletStore,
    encoder: Encoder,
    out: FeatureStore,
    settings: FeatureSettings | None = None,
    *,
    with_labels: bool = True,
    progress: Callable[[str], None] = lambda clip: None,
) -> int:
    """Pool the features of every clip's masklets and store them; finished clips are reused.

    One frame and one window's sums are in memory at a time. Masklets without a pixel on the frames
    read have no row. With labels, ground truth is read and each row's class stored, as training
    needs. `progress` is called with each clip's name when it is in the store.

    Returns:
        Number of clips that were reused.

    Raises:
        DataError: a frame, a mask or a masklet file is missing or unreadable, the masklets do not
            fit the clip, features do not fit the stored type, or the store holds features made from
            something else.
    """
    settings = settings or FeatureSettings()

    def work(clip: Clip) -> bool:
        about = masklets.metadata(clip.name)
        made_from: dict[str, Any] = {
            "clip": clip.name,
            "settings": settings.model_dump(mode="json"),
            "encoder": encoder_identity(encoder),
            "masklets_sha256": sha256_files([masklets.path(clip.name)]),
            "frames_sha256": (frames_sha256 := clip.frames_sha256()),
            "num_classes": dataset.num_classes if with_labels else None,
            "truth_sha256": _truth_sha256(clip) if with_labels else None,
        }
        masklets.check_frames(clip, about, frames_sha256)
        if out.path(clip.name).is_file():
            check_same_inputs(out.path(clip.name), out.metadata(clip.name), made_from)
            out.check(clip.name)
            return True
        num_classes = dataset.num_classes if with_labels else None
        stored = masklets.open(clip)
        parts = list(_clip_rows(clip, stored, encoder, settings, num_classes))
        out.write(clip.name, parts, made_from)
        return False

    return each_clip(dataset, [out.root], work, progress)


def _truth_sha256(clip: Clip) -> str:
    """Hash of the labels as they are read: what they follow from differs between data sets."""
    digest = hashlib.sha256()
    if len(clip.annotated) < clip.num_frames:
        digest.update(repr(clip.annotated).encode())
    for i in clip.annotated or range(1):  # a clip without any is refused
        digest.update(clip.ground_truth(i).tobytes())
    return digest.hexdigest()


def _clip_rows(
    clip: Clip,
    stored: ClipMasklets,
    encoder: Encoder,
    settings: FeatureSettings,
    num_classes: int | None,
) -> Iterator[FeatureRows]:
    """Rows by window, and by frame where frames are pooled by themselves."""
    for window in stored.windows():
        pool, window_votes = MaskletPool(), list[NDArray[np.int64]]()
        for part in window[:: settings.frame_stride]:
            votes = _votes(clip, part, num_classes)
            if settings.pool == "frame":
                alone = MaskletPool()
                _add(alone, encoder, clip, part)
                yield _rows(clip, part, part.frame, alone.result(), votes, settings)
            else:
                _add(pool, encoder, clip, part)
                window_votes.append(votes)
        if settings.pool == "masklet":
            total = np.sum(window_votes, 0)
            yield _rows(clip, window[0], WHOLE_WINDOW, pool.result(), total, settings)


@torch.inference_mode()
def _add(pool: MaskletPool, encoder: Encoder, clip: Clip, part: FrameMasklets) -> None:
    """Take in the features of a frame's masklets."""
    masks = torch.from_numpy(part.masks())
    if encoder.of_masks is not None:
        means = encoder.of_masks(clip.frame(part.frame), masks)
        pool.add_means(means, masks.to(means.device))
        return
    features = encode_frame(encoder, clip, part.frame)
    pool.add(features, masks.to(features.device))


def _votes(clip: Clip, part: FrameMasklets, num_classes: int | None) -> NDArray[np.int64]:
    """(n, 1 + C) pixels of each mask, and those of each class under it, where there is truth.

    On a frame without ground truth all are 0; (n, 1) where none is read.
    """
    area = part.values("area")[:, None].astype(np.int64)
    if num_classes is None or part.frame not in clip.annotated:
        return np.zeros((len(area), 1 + (num_classes or 0)), np.int64)
    votes = count_votes(part.runs(), clip.ground_truth(part.frame), num_classes)
    return np.concatenate([area, votes], 1)


def _rows(
    clip: Clip,
    part: FrameMasklets,
    frame: int,
    pooled: Pooled,
    votes: NDArray[np.int64],
    settings: FeatureSettings,
) -> FeatureRows:
    """Rows of the masklets that have a pixel."""
    kept = (pooled.weight > 0).cpu().numpy()
    area, seen, votes = pooled.weight.cpu().numpy()[kept], votes[kept, 0], votes[kept, 1:]
    labelled = votes.sum(1)
    label, most = np.full(len(area), VOID, np.uint8), np.zeros(len(area))
    if votes.shape[1]:
        label, most = winning_classes(votes), votes.max(1)
    with np.errstate(over="ignore"):  # said below, in a line
        features = pooled.mean.cpu().numpy()[kept].astype(settings.dtype)
    if not np.isfinite(features).all():
        raise DataError(
            f"{clip.frame_path(part.frame)}: its features do not fit {settings.dtype}; use float32"
        )

    return FeatureRows(
        window=part.values("window")[kept],
        masklet=part.values("masklet")[kept],
        frame=np.full(int(kept.sum()), frame, np.int32),
        area_px=area.astype(np.int64),
        label=label,
        purity=(most / labelled.clip(1)).astype(np.float32),
        void_share=(1 - labelled / seen.clip(1)).astype(np.float32),
        features=features,
    )
