"""A video clip: its frames and ground truth, read when asked for."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.images import (
    check_same_size,
    image_size,
    read_frame,
    read_id_image,
    read_label_image,
)
from sam2vss_lib.datasets.labels import Labels, StrayLabels, ground_truth_from_mask
from sam2vss_lib.datasets.layout import VSPW_LAYOUT, Layout
from sam2vss_lib.datasets.listing import stem_of
from sam2vss_lib.datasets.panoptic import labels_from_panoptic, labels_from_segments
from sam2vss_lib.datasets.segments import read_segments
from sam2vss_lib.storage.records import sha256_files


@dataclass(frozen=True)
class Clip:
    """One video clip; all its frames and masks have one size."""

    name: str
    root: Path  # of the data set
    frame_files: tuple[str, ...]  # names in the order of time
    mask_files: tuple[str | None, ...] = ()  # name of each frame's mask; empty if none has one
    class_count: int | None = None  # C; None when unknown: then there is no ground truth to read
    stray_labels: StrayLabels = "error"  # what to do with mask values that are no class
    layout: Layout = VSPW_LAYOUT

    @cached_property
    def frames(self) -> tuple[str, ...]:
        """Frame names without suffix, in the order of time."""
        return tuple(map(stem_of, self.frame_files))

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.frame_files)

    @cached_property
    def annotated(self) -> tuple[int, ...]:
        """The frames (0-based) that have ground truth, in the order of time."""
        return tuple(i for i, file in enumerate(self.mask_files) if file is not None)

    @property
    def has_ground_truth(self) -> bool:
        """Whether any frame has ground truth."""
        return bool(self.annotated)

    @cached_property
    def size(self) -> tuple[int, int]:
        """(height, width), from the header of the first frame.

        Raises:
            DataError: the first frame is missing, no image, or turned though the clip has masks.
        """
        return image_size(self.frame_path(0), has_masks=self.has_ground_truth)

    def frames_sha256(self) -> str:
        """One SHA-256 over the files of all frames.

        They are read each time, so that a frame that was replaced meanwhile shows.

        Raises:
            DataError: a frame is missing or not readable.
        """
        return sha256_files(self.frame_path(i) for i in range(self.num_frames))

    def frame_path(self, i: int) -> Path:
        """Path of frame `i` (0-based)."""
        return self.layout.frame_folder(self.root, self.name) / self.frame_files[i]

    def mask_path(self, i: int) -> Path:
        """Path of the mask of frame `i`.

        Raises:
            DataError: the frame, or every frame of the clip, has none.
        """
        folder = self.layout.mask_folder(self.root, self.name)
        if not self.has_ground_truth:
            hint = (
                "add them, take the clip off the list, or use a split that has masks, such as val "
                "(those of the published test splits are not public)"
            )
            raise FileFault(folder, f"clip {self.name} has no masks", hint)
        file = self.mask_files[i]
        if file is None:
            problem = f"no mask for frame {self.frame_files[i]}"
            raise FileFault(folder, problem, "ask for annotated frames only, or add the mask")
        return folder / file

    def frame(self, i: int) -> NDArray[np.uint8]:
        """Read frame `i`, (H, W, 3) uint8 RGB.

        Raises:
            DataError: not readable, not of the clip's size, or turned though the clip has masks.
        """
        path = self.frame_path(i)
        frame = read_frame(path, has_masks=self.has_ground_truth)
        self.check_size(path, frame.shape[:2])
        return frame

    def ground_truth(self, i: int) -> Labels:
        """Read the ground truth of frame `i`, (H, W) uint8; 0..C-1 are classes, 255 is void.

        Raises:
            DataError: the frame has no mask, the number of classes is unknown, or the mask is not
                readable, not of the clip's size, or holds values that are no class.
        """
        labels = self.read_mask(i)
        self.check_size(self.mask_path(i), labels.shape)
        return labels

    def read_mask(self, i: int) -> Labels:
        """Read the mask of frame `i` as `ground_truth` does, but whatever its size."""
        path, layout, strays = self.mask_path(i), self.layout, self.stray_labels
        num_classes = known_num_classes(self.class_count, self.root)
        match layout.mask_values:
            case "labels":
                mask, offset = read_label_image(path), layout.mask_offset
                return ground_truth_from_mask(
                    mask, num_classes, stray_labels=strays, source=path, offset=offset
                )
            case "panoptic":
                ids, things = read_id_image(path, "grey"), layout.things
                return labels_from_panoptic(
                    ids, num_classes, things=things, stray_labels=strays, source=path
                )
            case "segments":
                index = read_segments(self.root / str(layout.segments_file))
                segments = index.frame(self.name, self.frames[i])
                ids = read_id_image(path, "rgb")
                return labels_from_segments(ids, segments, num_classes, path, index.path)

    def check_size(self, path: Path, shape: tuple[int, ...]) -> None:
        """Check that an image of this clip, at `path`, has its (height, width).

        Raises:
            DataError: it has another size.
        """
        check_same_size(path, shape, self.frame_path(0), self.size)


def known_num_classes(class_count: int | None, root: Path) -> int:
    """`class_count`, which must be known.

    Raises:
        DataError: it is None.
    """
    if class_count is None:
        problem = "no usable class list, so the number of classes is unknown"
        hint = "add or mend the file, or pass --num-classes"
        raise FileFault(root / "classes.json", problem, hint)
    return class_count
