"""`sam2vss apply`: one command from frames to refined labels, films and a page."""

from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.cli.options import (
    ClassesOption,
    ConfigOption,
    JsonOption,
    MaxFramesOption,
    ObjectsOption,
    OffsetOption,
    SplitOptions,
    in_study,
    print_result,
    warn_of_demo_arbiter,
    with_masklet_settings,
)
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.study.settings import StudySettings


class SourceOptions(SplitOptions, frozen=True):
    """Options about the source, of which the command names the place, and where it is worked on."""

    max_clips: int | None = in_study("max_clips")
    device: str = in_study("device")


@with_settings(SourceOptions)
@with_settings(RefineSettings)
@with_masklet_settings
def apply_command(
    settings: MaskletSettings,
    refinement: RefineSettings,
    options: SourceOptions,
    source: Annotated[
        str, typer.Argument(help="A video, a folder of frames, a data set root, or demo.")
    ],
    checkpoint: Annotated[str, option_of(StudySettings, "checkpoint")],
    out: Annotated[Path, typer.Option(help="Folder of everything that is made.")],
    predictions: Annotated[
        Path | None,
        typer.Option(help="Base predictions: <clip>/<frame>.png, or <frame>.png of one clip."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Base model to run instead: NAME[:CHECKPOINT], as of segment."),
    ] = None,
    classes: ClassesOption = None,
    label_offset: OffsetOption = 0,
    config: ConfigOption = None,
    max_objects_per_batch: ObjectsOption = None,
    max_frames: MaxFramesOption = None,
    fps: Annotated[
        float | None,
        typer.Option(help="Frames per second of the films; by default the video's, or 10."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Refine predictions of a video, a folder of frames or a data set, and show what changed.

    Runs masklets, segment (with --model), refine and, where there is ground truth, evaluate; then
    makes films and OUT/index.html, a page about them. Says first what it will do. Run it again
    after an interruption: it goes on where it was.
    """
    from sam2vss_lib.apply.job import Job
    from sam2vss_lib.apply.page import write_page
    from sam2vss_lib.apply.run import apply

    check_folder(out)
    warn_of_demo_arbiter(refinement, source)
    job = Job(
        source,
        out,
        checkpoint,
        settings,
        refinement,
        predictions=predictions,
        model=model,
        classes=classes,
        label_offset=label_offset,
        **options.model_dump(),
        config=config,
        max_objects_per_batch=max_objects_per_batch,
        max_frames=max_frames,
        fps=fps,
    )
    outcome = apply(job, lambda line: typer.echo(line, err=True))
    page = write_page(outcome)
    pixels = sum(clip["pixels"] for clip in outcome.clips)
    changed = sum(frame["changed"] for clip in outcome.clips for frame in clip["frames"])
    result = {
        "out": str(out),
        "page": str(page),
        "clips": len(outcome.clips),
        "frames": sum(len(clip["frames"]) for clip in outcome.clips),
        "changed": changed / pixels,
    }
    print_result(result, json_output, f"{changed / pixels:.1%} of the pixels changed; see {page}")
