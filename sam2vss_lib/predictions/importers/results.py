"""mmsegmentation's results, which SegFormer, CFFM, MRCFA and TV3S write by `--out results.pkl`."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from sam2vss_lib.datasets import VOID, Clip, Dataset
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import Labels, check_prediction, ground_truth_from_mask
from sam2vss_lib.predictions.importers.pickled import PickledArray, find_arrays, read_array
from sam2vss_lib.storage.files import sha256_file, sha256_json


@dataclass(frozen=True)
class PickledResults:
    """A pickled list of one label array a frame, without names.

    The order is that of the systems' data sets: clips as in the split list, frames of a clip sorted
    by the characters of their file names.
    """

    path: Path
    dataset: Dataset  # the whole split that was predicted
    label_offset: int = 0  # 0 for values 0..C-1, 1 for 1..C

    def check(self, clip: Clip) -> None:
        """See `PredictionSource`; without names only the number of results can be compared."""
        _ = self._row(clip, 0), self._arrays

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """See `PredictionSource`; those are the frames after the last result."""
        found = len(self._found)
        return tuple(i for i in range(clip.num_frames) if self._row(clip, i) >= found)

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionSource`."""
        row = self._row(clip, i)
        array = self._arrays[row]
        source = Path(f"{self.path}: result {row} ({clip.name}/{clip.frames[i]})")
        # some versions keep the axis of the batch
        shape = array.shape[1:] if len(array.shape) == 3 and array.shape[0] == 1 else array.shape
        if len(shape) != 2 or array.dtype.kind not in "iu":
            hint = "results must be (height, width) integers: classes, not their scores"
            raise FileFault(source, f"is {array.dtype} {array.shape}", hint)
        clip.check_size(source, shape)
        values = read_array(self.path, array).reshape(shape)
        if values.min() < 0 or values.max() > VOID:
            problem = f"holds values from {values.min()} to {values.max()}"
            raise FileFault(source, problem, f"classes are at least 0, and {VOID} is void")
        labels, num_classes = values.astype(np.uint8), self.dataset.num_classes
        check_prediction(labels, num_classes, source, self.label_offset)
        return ground_truth_from_mask(labels, num_classes) if self.label_offset else labels

    def sha256(self, clip: Clip) -> str:
        """See `PredictionSource`."""
        return sha256_json([self._sha256, self._row(clip, 0)])

    def _row(self, clip: Clip, i: int) -> int:
        return self._rows[clip.name, clip.frame_files[i]]

    @cached_property
    def _rows(self) -> dict[tuple[str, str], int]:
        names = [(clip.name, file) for clip in self.dataset for file in sorted(clip.frame_files)]
        return {name: row for row, name in enumerate(names)}

    @cached_property
    def _found(self) -> list[PickledArray]:
        return find_arrays(self.path)

    @cached_property
    def _arrays(self) -> list[PickledArray]:
        arrays = self._found
        if len(arrays) != len(self._rows):
            problem = f"holds {len(arrays)} results, but the split has {len(self._rows)} frames"
            hint = f"check that it was made from {self.dataset.root}, split {self.dataset.split}"
            raise FileFault(self.path, problem, hint)
        return arrays

    @cached_property
    def _sha256(self) -> str:
        return sha256_file(self.path)
