"""Folders of predictions: one label PNG a frame, and class probabilities where there are some."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.clips import Clip
from sam2vss_lib.datasets.faults import FileFault, read_bytes
from sam2vss_lib.datasets.images import read_label_image, write_label_image
from sam2vss_lib.datasets.labels import (
    Labels,
    check_num_classes,
    check_prediction,
    class_palette,
    ground_truth_from_mask,
    mask_from_ground_truth,
)
from sam2vss_lib.datasets.listing import MASK_SUFFIXES, Images, list_images
from sam2vss_lib.errors import DataError, SettingsError, first_line
from sam2vss_lib.storage.files import atomic_path, read_json
from sam2vss_lib.storage.records import RECORD_NAME, mark_finished, mark_started

_ONE_BITS = np.float16(1).view(np.uint16)


def list_labels(folder: Path) -> Images:
    """List the label images of a folder, which may be missing.

    Raises:
        DataError: the folder cannot be listed.
    """
    beside = (".npz", ".json")  # probabilities, and the record of what all was made from
    hint = "move it away or convert it (sam2vss predictions formats)"
    return list_images(folder, MASK_SUFFIXES, beside, hint)


@dataclass(frozen=True)
class PredictionFolder:
    """Predictions as `<root>/<clip>/<frame>.png`, optionally with `<frame>.npz` beside.

    The offset is 0 for files of 0..C-1 with void 255, and 1 for files of 1..C as in masks, with
    void 255 (0 is read as void too).
    """

    root: Path  # made when something is written
    num_classes: int  # C
    label_offset: int = 0

    def __post_init__(self) -> None:
        """Check the settings.

        Raises:
            SettingsError: `num_classes` or `label_offset` cannot be used.
        """
        check_num_classes(self.num_classes)
        if self.label_offset not in (0, 1):
            raise SettingsError(f"label_offset is {self.label_offset}; it must be 0 or 1")

    def check_frames(self, clip: Clip, found: str | None = None) -> None:
        """Refuse labels that a base model has made of other frames, where their record says so.

        Who knows the hash of the frames gives it as `found`, so that they are not read once more.

        Raises:
            DataError: a frame was replaced since, or the record cannot be read.
        """
        record = self.root / clip.name / RECORD_NAME
        known = read_json(record).get("frames_sha256") if record.is_file() else None
        if known is not None and known != (found or clip.frames_sha256()):
            raise DataError(
                f"{record.parent}: made of other frames than clip {clip.name} has now; segment it "
                "again into another folder"
            )

    def path(self, clip: Clip, i: int) -> Path:
        """Path of the labels of frame `i` (0-based): of those there, else of those to be written.

        Raises:
            DataError: there is something else in the clip's folder.
        """
        path = self._own_path(clip, i)
        if path.exists():
            return path
        return path.with_name(self.files(clip).get(clip.frames[i], path.name))

    def _own_path(self, clip: Clip, i: int) -> Path:
        return self.root / clip.name / f"{clip.frames[i]}.png"

    def files(self, clip: Clip) -> dict[str, str]:
        """Names of the files of labels, by frame.

        Raises:
            DataError: there is something else in the clip's folder.
        """
        return list_labels(self.root / clip.name).checked().files

    def probabilities_path(self, clip: Clip, i: int) -> Path:
        """Path of the probabilities of frame `i`, whether or not there are any."""
        return self._own_path(clip, i).with_suffix(".npz")

    def read(self, clip: Clip, i: int) -> Labels:
        """Read the predicted labels of frame `i`.

        Returns:
            (H, W) uint8 of the clip's size; 0..C-1 are classes, 255 is void.

        Raises:
            DataError: missing or not readable, of another size, or with values that are no class.
        """
        path = self.path(clip, i)
        values = read_label_image(path)
        clip.check_size(path, values.shape)
        check_prediction(values, self.num_classes, path, self.label_offset)
        return ground_truth_from_mask(values, self.num_classes) if self.label_offset else values

    def read_probabilities(self, clip: Clip, i: int) -> NDArray[np.float16] | None:
        """Read the class probabilities of frame `i`.

        Returns:
            (C, h, w) float16 at whatever resolution they were stored; None if there is no file.

        Raises:
            DataError: not readable, or not float16 probabilities of C classes.
        """
        path = self.probabilities_path(clip, i)
        if not path.exists():
            return None
        hint = "write it by numpy.savez with a float16 (C, h, w) array 'probabilities'"
        data = read_bytes(path)
        try:
            with np.load(BytesIO(data), allow_pickle=False) as arrays:
                array: NDArray[Any] = arrays["probabilities"]
        except Exception as error:  # zip and npy readers fed arbitrary bytes raise many things
            raise FileFault(path, f"not readable as .npz ({first_line(error)})", hint) from None
        self._check_probabilities(array, path, hint)
        return array.astype(np.float16, copy=False)

    def write(
        self, clip: Clip, i: int, labels: Labels, probabilities: NDArray[np.float16] | None = None
    ) -> None:
        """Write the prediction of frame `i`; each file appears whole or not at all.

        The labels are written last, so a frame that has its PNG is complete. Probabilities left by
        an earlier run are removed when none are given, as they would belong to other labels.

        Args:
            clip: the clip.
            i: frame index, 0-based.
            labels: (H, W) uint8 of the clip's size; 0..C-1 are classes, 255 is void.
            probabilities: (C, h, w) float16 in 0..1.

        Raises:
            DataError: the arrays are not a prediction of this clip.
            SettingsError: `labels` are not uint8.
        """
        path = self._own_path(clip, i)
        if labels.dtype != np.uint8:
            raise SettingsError(f"labels for {path} are {labels.dtype}; convert them to uint8")
        clip.check_size(path, labels.shape)
        check_prediction(labels, self.num_classes, path)
        palette = class_palette(self.num_classes)
        if self.label_offset:
            labels = mask_from_ground_truth(labels, self.num_classes)
            palette = np.vstack([np.zeros((1, 3), dtype=np.uint8), palette])
        probabilities_path = self.probabilities_path(clip, i)
        if probabilities is None:
            probabilities_path.unlink(missing_ok=True)
        else:
            self._check_probabilities(probabilities, probabilities_path, "not written")
            with atomic_path(probabilities_path) as temporary:
                np.savez_compressed(temporary, probabilities=probabilities)
                path.unlink(missing_ok=True)  # old labels must not pass for those of new ones
        write_label_image(path, labels, palette)

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """Indices of the clip's frames that have no labels yet.

        Raises:
            DataError: there is something else in the clip's folder.
        """
        present = self.files(clip)
        return tuple(i for i, name in enumerate(clip.frames) if name not in present)

    def _check_probabilities(self, array: NDArray[Any], path: Path, hint: str) -> None:
        if array.dtype != np.float16 or array.ndim != 3 or array.shape[0] != self.num_classes:
            problem = f"holds {array.dtype} {array.shape}, not float16 ({self.num_classes}, h, w)"
        # Written so that a NaN fails the comparison; as bits, 0..1 come first, and halves are slow.
        elif array.size == 0 or not (
            array.view(np.uint16).max() <= _ONE_BITS or (array.min() >= 0 and array.max() <= 1)
        ):
            problem = "holds values outside 0..1, or none"
        else:
            return
        raise FileFault(path, problem, hint)


def write_labels(
    out: PredictionFolder,
    clip: Clip,
    labels: Sequence[Labels],
    made_from: dict[str, Any],
    facts: dict[str, Any] | None = None,
    probabilities: Iterable[NDArray[np.float16]] | None = None,
) -> None:
    """Write a clip's labels, and beside them the record of what they were made from.

    Facts that were found on the way are kept in the record. Probabilities of every frame, if there
    are some, are taken one at a time.

    `labels` are (H, W) uint8 of every frame: all of them, so that a bad frame leaves no half clip.

    Raises:
        DataError: the labels do not fit, or the folder holds files of unknown origin.
    """
    mark_started(out.root / clip.name, made_from)
    chances = repeat(None, len(labels)) if probabilities is None else probabilities
    for i, (frame, of_frame) in enumerate(zip(labels, chances, strict=True)):
        out.write(clip, i, frame, of_frame)
    mark_finished(out.root / clip.name, made_from, facts=facts)
