"""Predictions on disk in other systems' image formats, all read through one interface."""

from __future__ import annotations

from dataclasses import dataclass
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
        """Check by their names that there is one prediction for every frame and no other.

        Raises:
            DataError: one is missing, or one is of no frame.
        """
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


@dataclass(frozen=True)
class IndexImages:
    """`<root>/<clip>/<frame>.png`, 8-bit grey or palette, whose values are labels.

    Attributes:
        root: the folder.
        num_classes: C.
        label_offset: 0 for values 0..C-1, 1 for 1..C.
    """

    root: Path
    num_classes: int
    label_offset: int = 0

    def check(self, clip: Clip) -> None:
        """See `PredictionSource`."""
        check_png_names(self.root, clip)

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """See `PredictionSource`."""
        return PredictionFolder(self.root, self.num_classes).missing(clip)

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionSource`."""
        return PredictionFolder(self.root, self.num_classes, self.label_offset).read(clip, i)

    def sha256(self, clip: Clip) -> str:
        """See `PredictionSource`."""
        return _png_sha256(self.root, clip)


@dataclass(frozen=True)
class PanopticImages:
    """`<root>/<clip>/<frame>.png`, 16-bit grey, of VIPSeg's ids: class, or 100 * class + instance.

    Attributes:
        root: the folder.
        num_classes: C.
    """

    root: Path
    num_classes: int

    def check(self, clip: Clip) -> None:
        """See `PredictionSource`."""
        check_png_names(self.root, clip)

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """See `PredictionSource`."""
        return PredictionFolder(self.root, self.num_classes).missing(clip)

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionSource`."""
        path = _png(self.root, clip, i)
        ids = read_id_image(path, "grey")
        clip.check_size(path, ids.shape)
        return labels_from_panoptic(ids, self.num_classes, source=path)

    def sha256(self, clip: Clip) -> str:
        """See `PredictionSource`."""
        return _png_sha256(self.root, clip)


@dataclass(frozen=True)
class PanopticSegments:
    """`pan_pred/<clip>/<frame>.png` in RGB-coded ids, and `pred.json`: DVIS, DVIS++ and CAVIS.

    Pixels without a segment are void: these systems keep confident segments only.

    Attributes:
        root: the folder that holds both.
        num_classes: C.
    """

    root: Path
    num_classes: int

    @property
    def _images(self) -> Path:
        return self.root / "pan_pred"

    @property
    def _index(self) -> SegmentIndex:
        return read_segments(self.root / "pred.json")

    def check(self, clip: Clip) -> None:
        """See `PredictionSource`."""
        check_png_names(self._images, clip)
        _check_names(self._index.path, self._index.frames(clip.name), clip)

    def missing(self, clip: Clip) -> tuple[int, ...]:
        """See `PredictionSource`; a frame needs its image and its list of segments."""
        listed = frozenset[str]()
        if (self.root / "pred.json").exists():
            listed = self._index.frames(clip.name)
        lacking = PredictionFolder(self._images, self.num_classes).missing(clip)
        return tuple(i for i, name in enumerate(clip.frames) if i in lacking or name not in listed)

    def read(self, clip: Clip, i: int) -> Labels:
        """See `PredictionSource`."""
        path = _png(self._images, clip, i)
        ids = read_id_image(path, "rgb")
        clip.check_size(path, ids.shape)
        segments = self._index.frame(clip.name, clip.frames[i])
        return labels_from_segments(ids, segments, self.num_classes, path, self._index.path)

    def sha256(self, clip: Clip) -> str:
        """See `PredictionSource`."""
        frames = [sorted(self._index.frame(clip.name, name).items()) for name in clip.frames]
        return sha256_json([_png_sha256(self._images, clip), frames])


def check_png_names(root: Path, clip: Clip) -> None:
    """Check that `<root>/<clip>/` holds one PNG for each frame of the clip and no other.

    Raises:
        DataError: the folder or a file is missing, or a file is of no frame.
    """
    folder = root / clip.name
    if not folder.is_dir():
        raise FileFault(folder, "no predictions of this clip", "check the folder and the split")
    names = (path.name for path in folder.iterdir())
    stems = frozenset(n.removesuffix(".png") for n in names if n.endswith(".png") and n[0] != ".")
    _check_names(folder, stems, clip)


def _check_names(source: Path, names: frozenset[str], clip: Clip) -> None:
    """Check that the names of predicted frames are those of the clip's frames."""
    frames = frozenset(clip.frames)
    wrong = sorted(frames - names) or sorted(names - frames)
    if not wrong:
        return
    more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
    is_missing = wrong[0] in frames
    problem = "no prediction of frame" if is_missing else "prediction of what is no frame:"
    hint = f"predictions must be named as the frames in {clip.frame_path(0).parent}"
    raise FileFault(source, f"{problem} {wrong[0]}{more}", hint)


def _png(root: Path, clip: Clip, i: int) -> Path:
    return root / clip.name / f"{clip.frames[i]}.png"


def _png_sha256(root: Path, clip: Clip) -> str:
    return sha256_files(_png(root, clip, i) for i in range(clip.num_frames))
