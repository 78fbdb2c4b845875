"""Predictions on disk in other systems' image formats, all read through one interface."""

from pathlib import Path
from typing import Protocol

from sam2vss_lib.datasets import Clip
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.images import read_id_image
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.datasets.panoptic import labels_from_panoptic, labels_from_segments
from sam2vss_lib.datasets.segments import SegmentIndex, read_segments
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.storage.files import sha256_json
from sam2vss_lib.storage.records import sha256_files


class PredictionSource(Protocol):
    """Predictions for the clips of a data set; C is its number of classes."""

    def check(self, clip: Clip) -> None:
        """Raise a `DataError` unless, by its name, each frame has a prediction and nothing else."""
        ...

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """Indices of the clip's frames that have no prediction yet.

        Raises:
            DataError: a file that lists them cannot be read.
        """
        ...

    def read(self, clip: Clip, i: int) -> Labels:
        """Read the predicted labels of frame `i` (0-based).

        Returns:
            (H, W) uint8 of the clip's size; 0..C-1 are classes, 255 is void.

        Raises:
            DataError: not readable, of another size, or with values of no class.
        """
        ...

    def sha256(self, clip: Clip) -> str:
        """Hash of everything that the predictions of a clip are read from.

        Raises:
            DataError: a file is missing or not readable.
        """
        ...


class IndexImages(PredictionFolder):
    """Images `<root>/<clip>/<frame>.png`, 8-bit grey or palette, whose values are labels."""

    def check(self, clip: Clip) -> None:
        """See `PredictionSource`."""
        folder = self.root / clip.name
        if not folder.is_dir():
            raise FileFault(folder, "no predictions of this clip", "check the folder and the split")
        _check_names(folder, frozenset(self.files(clip)), clip)

    def sha256(self, clip: Clip) -> str:
        """See `PredictionSource`."""
        return sha256_files(self.path(clip, i) for i in range(clip.num_frames))


class PanopticImages(IndexImages):
    """Such images in 16-bit grey hold VIPSeg's ids: class, or 100 * class + instance."""

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionSource`."""
        path = self.path(clip, i)
        ids = read_id_image(path, "grey")
        clip.check_size(path, ids.shape)
        return labels_from_panoptic(ids, self.num_classes, source=path)


class PanopticSegments(IndexImages):
    """Images `<clip>/<frame>.png` of RGB-coded ids, and `pred.json` beside the root: DVIS, CAVIS.

    Pixels without a segment are void: these systems (DVIS++ too) keep confident ones only.
    """

    @property
    def _index(self) -> SegmentIndex:
        return read_segments(self.root.with_name("pred.json"))

    def check(self, clip: Clip) -> None:
        """See `PredictionSource`."""
        super().check(clip)
        _check_names(self._index.path, self._index.frames(clip.name), clip)

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """See `PredictionSource`; a frame needs its image and its list of segments."""
        listed = frozenset[str]()
        if self.root.with_name("pred.json").exists():
            listed = self._index.frames(clip.name)
        lacking = super().missing(clip)
        return tuple(i for i, name in enumerate(clip.frames) if i in lacking or name not in listed)

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionSource`."""
        path = self.path(clip, i)
        ids = read_id_image(path, "rgb")
        clip.check_size(path, ids.shape)
        segments = self._index.frame(clip.name, clip.frames[i])
        return labels_from_segments(ids, segments, self.num_classes, path, self._index.path)

    def sha256(self, clip: Clip) -> str:
        """See `PredictionSource`."""
        frames = [sorted(self._index.frame(clip.name, name).items()) for name in clip.frames]
        return sha256_json([super().sha256(clip), frames])


def _check_names(source: Path, names: frozenset[str], clip: Clip) -> None:
    """Check that the names of predicted frames are those of the clip's frames."""
    frames = frozenset(clip.frames)
    wrong = sorted(frames - names) or sorted(names - frames)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        is_missing = wrong[0] in frames
        problem = "no prediction of frame" if is_missing else "prediction of what is no frame:"
        hint = f"predictions must be named as the frames in {clip.frame_path(0).parent}"
        raise FileFault(source, f"{problem} {wrong[0]}{more}", hint)
