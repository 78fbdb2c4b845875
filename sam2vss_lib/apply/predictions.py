"""Base predictions given as a folder: used where they are, or linked under the clip's names."""

import os
from pathlib import Path

from sam2vss_lib.apply.job import Job
from sam2vss_lib.apply.source import Source
from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.listing import MASK_SUFFIXES, list_images
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import check_complete


def given_predictions(job: Job, source: Source, dataset: Dataset, given: Path) -> PredictionFolder:
    """The folder as the stages read it.

    A folder with `<clip>/<frame>.png` is itself. Labels of a single clip may also lie in the folder
    directly, and those of a folder of frames may have the names of its images instead of the
    numbers that its frames were given: then OUT/base has links to them.

    Raises:
        DataError: it is not there, a frame has no prediction, or a clip's first does not fit.
    """
    if not given.is_dir():
        raise FileFault(given, "no such folder", "give --predictions a folder of label PNGs")
    root = given
    if len(dataset) == 1:
        (clip,) = dataset
        nested = (given / clip.name).is_dir()
        folder = given / clip.name if nested else given
        files = list_images(folder, MASK_SUFFIXES, (".npz", ".json")).files
        names = _names(folder, clip, source, files)
        if files and not (nested and names == clip.frames):
            _link(folder, [files.get(name) for name in names], clip, names, job.base / clip.name)
            root = job.base
    base = PredictionFolder(root, dataset.num_classes, job.label_offset)
    for clip in dataset:  # before masklets take their time
        check_complete(base, clip)
        base.read(clip, 0)
    return base


def _names(folder: Path, clip: Clip, source: Source, files: dict[str, str]) -> tuple[str, ...]:
    """Names of the labels of a clip's frames: those of the images it was made of, or its own.

    Numbers of both kinds would fit one frame beside another, so a label that is named as an image
    is that image's, and nothing stands for frame 0 of a video.
    """
    if files.keys() & {*source.stems}:
        return source.stems
    if source.kind == "video" and (zero := [n for n in files if n.isdecimal() and not int(n)]):
        problem = f"{files[zero[0]]} counts from 0, and frames of a video count from 00000001"
        raise FileFault(folder, problem, "rename the labels")
    return clip.frames


def _link(
    folder: Path, files: list[str | None], clip: Clip, names: tuple[str, ...], out: Path
) -> None:
    """Link every frame's labels; links that are there must be the same ones."""
    for frame, file, name in zip(clip.frames, files, names, strict=True):
        if file is None:
            hint = f"name the labels as the frames in {clip.frame_path(0).parent}"
            raise FileFault(folder, f"no prediction of frame {name}", hint)
        target = (folder / file).resolve()
        link = out / f"{frame}{target.suffix.lower()}"
        if link.is_symlink() and link.readlink() == target:
            continue
        if os.path.lexists(link):
            problem = "is there already, and is no link to these predictions"
            raise FileFault(link, problem, "use another --out")
        out.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
