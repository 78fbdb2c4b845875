"""Base predictions given as a folder: used where they are, or linked under the clip's names."""

import os
import shutil
from pathlib import Path

from sam2vss_lib.apply.job import Job
from sam2vss_lib.apply.source import Source
from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.predictions.folder import PredictionFolder, list_labels
from sam2vss_lib.refinement.refine import check_predictions, probability_files
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.storage.files import atomic_path


def given_predictions(job: Job, source: Source, dataset: Dataset, given: Path) -> PredictionFolder:
    """The folder as the stages read it.

    A folder with `<clip>/<frame>.png` is itself. Labels of a single clip may also lie in the folder
    directly, and those of a folder of frames may have the names of its images instead of the
    numbers that its frames were given: then OUT/base has links to them.

    Raises:
        DataError: a frame has no prediction, or one does not fit.
    """
    root = given
    if len(dataset) == 1:
        (clip,) = dataset
        nested = (given / clip.name).is_dir()
        folder = given / clip.name if nested else given
        listed = list_labels(folder)
        files = listed.files
        if not files and (other := [one for one in listed.faults if Path(one.file).is_file()]):
            raise other[0]
        names = _names(folder, clip, source, files)
        if files and not (nested and names == clip.frames):
            _link(job, folder, [files.get(name) for name in names], clip, names)
            root = job.base
    base = PredictionFolder(root, dataset.num_classes, job.label_offset)
    for clip in dataset:
        check_predictions(base, clip)
        if VOTES[vote := job.refinement.vote].probabilities != "unread":
            probability_files(base, clip, vote)
    return base


def name_as_images(job: Job, source: Source, dataset: Dataset, refined: PredictionFolder) -> None:
    """Copy refined labels of a folder of frames, which are numbered, under its images' names."""
    if source.stems and source.stems != dataset.clips[0].frames:
        for i, stem in enumerate(source.stems):
            with atomic_path(job.named / f"{stem}.png") as temporary:
                shutil.copyfile(refined.path(dataset.clips[0], i), temporary)


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
    job: Job, folder: Path, files: list[str | None], clip: Clip, names: tuple[str, ...]
) -> None:
    """Link every frame's labels; links of which something was made must be the same ones."""
    if None in files:
        hint = f"name the labels as the frames in {clip.frame_path(0).parent}"
        raise FileFault(folder, f"no prediction of frame {names[files.index(None)]}", hint)
    out = job.base / clip.name
    if not (job.refined / clip.name).exists():  # those of an earlier call may have been wrong ones
        for link in filter(Path.is_symlink, out.glob("*")):
            link.unlink()
    for frame, file in zip(clip.frames, filter(None, files), strict=True):
        labels = (folder / file).resolve()
        probabilities = labels.with_suffix(".npz")
        for target in (labels, *([probabilities] if probabilities.is_file() else [])):
            link = out / f"{frame}{target.suffix.lower()}"
            if link.is_symlink() and link.readlink() == target:
                continue
            if os.path.lexists(link):
                problem = "is there already, and is no link to these predictions"
                raise FileFault(link, problem, "use another --out")
            out.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
