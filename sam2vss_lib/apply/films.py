"""The stage that makes films: of every clip what was changed, its masklets, and the counts."""

from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image

from sam2vss_lib.apply.changes import Changes
from sam2vss_lib.apply.markup import share
from sam2vss_lib.apply.pictures import numbered_masklets, panels, resized, side_by_side
from sam2vss_lib.datasets import Clip, Dataset
from sam2vss_lib.datasets.clip_loop import each_clip
from sam2vss_lib.datasets.labels import Labels
from sam2vss_lib.masklets.store import ClipMasklets, FrameMasklets, MaskletStore
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.settings import Overlap
from sam2vss_lib.storage.files import atomic_path, read_json, write_json
from sam2vss_lib.storage.records import is_finished, mark_finished, mark_started, sha256_files
from sam2vss_lib.views.film import film, write_gif
from sam2vss_lib.views.layers import Picture

#: names of the files in a clip's folder
CHANGES, PREVIEW, COUNTS = "changes.mp4", "changes.gif", "changes.json"
MASKLETS, MASKLETS_PICTURE = "masklets.mp4", "masklets.jpg"
_VERSION = 1  # of what the files show
_GIF_PICTURES, _GIF_PX = 24, 480  # at most so many, so wide


def picture_name(frame: str) -> str:
    """File of a picture of one frame."""
    return f"frame_{frame}.jpg"


def make_films(
    dataset: Dataset,
    base: PredictionFolder,
    refined: PredictionFolder,
    masklets: MaskletStore,
    out: Path,
    *,
    fps: float,
    overlap: Overlap,
    progress: Callable[[str], None] = lambda clip: None,
) -> list[dict[str, Any]]:
    """Make the films of every clip in a folder of `out` each; finished ones are reused.

    Few frames are in memory at a time. Masklets are shown as the overlap rule paints them.

    Returns:
        Of every clip, as `changes.json` holds it: counts as of `Changes.to_dict`, names of the
        frames that have a picture, and the rate of the films.

    Raises:
        DataError: a file cannot be read, or the folder was made from something else.
    """

    def work(clip: Clip) -> bool:
        folder = out / clip.name
        maps = {
            name: sha256_files(of.path(clip, i) for i in range(clip.num_frames))
            for name, of in (("base_sha256", base), ("refined_sha256", refined))
        }
        made_from = {
            "version": _VERSION,
            "masklets_sha256": sha256_files([masklets.path(clip.name)]),
            **maps,
            "ground_truth_sha256": sha256_files(clip.mask_path(i) for i in clip.annotated),
            "label_offset": base.label_offset,
            "overlap": overlap,
            "fps": fps,
        }
        if is_finished(folder, made_from):
            return True
        mark_started(folder, made_from)
        stored = masklets.open(clip, overlap=overlap)
        _make(clip, base, refined, stored, folder, fps, overlap)
        mark_finished(folder, made_from)
        return False

    each_clip(dataset, [out], work, progress)
    return [read_json(out / clip.name / COUNTS) for clip in dataset]


def _make(
    clip: Clip,
    base: PredictionFolder,
    refined: PredictionFolder,
    stored: ClipMasklets,
    folder: Path,
    fps: float,
    overlap: Overlap,
) -> None:
    counted, preview, every = Changes(), list[Picture](), -(-clip.num_frames // _GIF_PICTURES)
    with film(folder / CHANGES, fps) as show_changes, film(folder / MASKLETS, fps) as show_masklets:
        for i, part in enumerate(_parts(stored)):
            maps = _maps(clip, base, refined, i)
            counts, frame = counted.add(*maps), clip.frame(i)
            picture = _changed(clip, i, frame, maps, counts, base.num_classes)
            show_changes(picture)
            if i % every == 0:
                preview.append(resized(picture, min(_GIF_PX, picture.shape[1])))
            masklets, seen = numbered_masklets(frame, part, overlap)
            masklets = side_by_side([masklets], [f"frame {clip.frames[i]}: {seen} masklets"])
            show_masklets(masklets)
            if i == clip.num_frames // 2:
                _write_picture(folder / MASKLETS_PICTURE, masklets)
    write_gif(folder / PREVIEW, preview, max(fps / every, 2))
    chosen = counted.most_changed() or [clip.num_frames // 2]
    for i in chosen:
        maps = _maps(clip, base, refined, i)
        picture = _changed(clip, i, clip.frame(i), maps, counted.frames[i], base.num_classes)
        _write_picture(folder / picture_name(clip.frames[i]), picture)
    shown = {"names": clip.frames, "pictures": [clip.frames[i] for i in chosen], "fps": fps}
    write_json(folder / COUNTS, {"clip": clip.name, **counted.to_dict(), **shown})


def _write_picture(path: Path, picture: Picture) -> None:
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, quality=90)


def _parts(stored: ClipMasklets) -> Iterator[FrameMasklets | None]:
    """The masklets of every frame; None where a window has none."""
    parts = chain.from_iterable(stored.windows())
    part = next(parts, None)
    for frame in range(stored.num_frames):
        here = part is not None and part.frame == frame
        yield part if here else None
        if here:
            part = next(parts, None)


def _maps(
    clip: Clip, base: PredictionFolder, refined: PredictionFolder, i: int
) -> tuple[Labels, Labels, Labels | None]:
    truth = clip.ground_truth(i) if i in clip.annotated else None
    return base.read(clip, i), refined.read(clip, i), truth


def _changed(
    clip: Clip,
    i: int,
    frame: Picture,
    maps: tuple[Labels, Labels, Labels | None],
    counts: dict[str, int],
    num_classes: int,
) -> Picture:
    changed = f"changed: {share(counts['changed'], maps[0].size)} of the pixels"
    if "better" in counts:
        changed = f"{changed} (blue: now right, orange: now wrong)"
    captions = (f"frame {clip.frames[i]}", "base prediction", "refined", changed)
    return side_by_side(panels(frame, *maps, num_classes), captions)
