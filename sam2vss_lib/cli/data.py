"""`sam2vss data`: data sets: which are known, where to get them, conversion, verification."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.from_settings import with_settings
from sam2vss_lib.cli.options import JsonOption, MaxFramesOption, SplitOptions, print_result
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.records import check_report
from sam2vss_lib.storage.targets import check_folder

app = typer.Typer(no_args_is_help=True, help="Data sets in VSPW or VIPSeg layout.")

WorkersOption = Annotated[
    int, typer.Option("--workers", min=1, help="Processes; by default one a core.")
]
CORES = os.cpu_count() or 1


@app.command("list")
def data_list(json_output: JsonOption = False) -> None:
    """List the data sets the study knows."""
    from sam2vss_lib.datasets.manifests import load_datasets_manifest

    facts = {k: v.model_dump(mode="json") for k, v in load_datasets_manifest().items()}
    lines = [
        f"{name}: {entry['title']}; "
        + ", ".join(f"{s} {v['clips']} clips" for s, v in entry["splits"].items())
        for name, entry in facts.items()
    ]
    lines.append("demo, demo-b: generated clips of two worlds, --dataset demo")
    print_result(facts, json_output, "\n".join(lines))


@app.command("verify")
@with_settings(SplitOptions)
def data_verify(
    options: SplitOptions,
    root: Annotated[str, typer.Argument(help="Data set root, demo or demo-b.")],
    expect: Annotated[
        str | None, typer.Option(help="vspw or vipseg: also compare with what was published.")
    ] = None,
    write_manifest: Annotated[
        bool,
        typer.Option(
            "--write-manifest",
            help="Write ROOT/SPLIT.sha256; later runs compare every file with it.",
        ),
    ] = False,
    report_path: Annotated[
        Path | None, typer.Option("--report", help="Also write the report as JSON here.")
    ] = None,
    workers: WorkersOption = CORES,
    json_output: JsonOption = False,
) -> None:
    """Check every clip, frame and mask of a split; exit code 3 if anything is wrong."""
    from sam2vss_lib.datasets import verify_dataset
    from sam2vss_lib.storage.files import write_json

    if report_path is not None:
        check_report(report_path, "num_clips", "faults")
    report = verify_dataset(
        root,
        **options.model_dump(),
        expect=expect,
        write_manifest=write_manifest,
        workers=workers,
    )
    result = report.model_dump(mode="json")
    if report_path is not None:
        write_json(report_path, result)
    print_result(result, json_output, report.summary())
    if not report.ok:
        raise typer.Exit(DataError.exit_code)


@app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="vspw or vipseg.")],
    out: Annotated[Path, typer.Option(help="Where the data set is to lie.")],
    json_output: JsonOption = False,
) -> None:
    """Say what to accept, where to get a data set, and what to run then; nothing is downloaded.

    The data sets' terms must be accepted by a person. Exit code 0 if OUT holds the data set, 3 if
    not yet.
    """
    from sam2vss_lib.datasets.obtaining import how_to_obtain

    steps = how_to_obtain(name, out)
    print_result(asdict(steps), json_output, steps.to_text())
    if not steps.present:
        raise typer.Exit(DataError.exit_code)


@app.command("convert")
@with_settings(SplitOptions, without=["split", "num_classes", "mask_offset"])
def data_convert(
    options: SplitOptions,
    kind: Annotated[str, typer.Argument(help="vspw-480p, vipseg-720p or video.")],
    source: Annotated[
        Path,
        typer.Argument(help="Data set root or its .zip or .tar[.gz]; a video; an image folder."),
    ],
    target: Annotated[Path, typer.Argument(help="Data set root to make or to add to.")],
    split: Annotated[
        str | None, typer.Option(help="Only this split's clips; for video the list it joins (val).")
    ] = None,
    height_px: Annotated[
        int | None, typer.Option("--height", help="Another height than 480 or 720, in pixels.")
    ] = None,
    semantic: Annotated[
        bool, typer.Option("--semantic", help="VIPSeg: masks without instances, VSPW layout.")
    ] = False,
    clip: Annotated[str | None, typer.Option(help="Video: the clip's name.")] = None,
    fps: Annotated[
        float | None, typer.Option(help="Video: frames per second; by default all.")
    ] = None,
    max_frames: MaxFramesOption = None,
    workers: WorkersOption = CORES,
    json_output: JsonOption = False,
) -> None:
    """Make the 480p or 720p form of a data set, or a clip of a video; resumes where it stopped."""
    check_folder(target)
    for_video = {"--clip": clip, "--fps": fps, "--max-frames": max_frames}
    if kind == "video":
        from sam2vss_lib.datasets.converting.video import convert_video
        from sam2vss_lib.datasets.listing import list_frames

        if semantic:
            raise SettingsError("--semantic: is for vipseg-720p only")
        split, notes = split or "val", list[str]()
        name, reused = convert_video(
            source,
            target,
            clip=clip,
            split=split,
            fps=fps,
            max_frames=max_frames,
            height_px=height_px,
            warn=notes.append,
        )
        frames = len(list_frames(target / "data" / name / "origin").files)
        result = {"out": str(target), "clip": name, "frames": frames, "reused": reused}
        text = f"clip {name} of {frames} frames in {target}, split {split}"
        text += ", there already" if reused else ""
        print_result(result | {"notes": notes}, json_output, "\n".join((text, *notes)))
        return

    from sam2vss_lib.datasets.converting.archives import unpacked_root
    from sam2vss_lib.datasets.converting.conversion import convert_dataset
    from sam2vss_lib.datasets.converting.converted import UNPACKED

    wrong = [option for option, value in for_video.items() if value is not None]
    if wrong:
        raise SettingsError(f"{wrong[0]}: is for video only")
    with unpacked_root(source, target / UNPACKED) as root:
        done = convert_dataset(
            kind,
            root,
            target,
            split=split,
            height_px=height_px,
            semantic=semantic,
            stray_labels=options.stray_labels,
            workers=workers,
        )
    result = {"out": str(target), **done._asdict()}
    text = (
        f"{target}: {done.converted} clips converted, {done.reused} there already, "
        f"{done.without_masks} without masks left out"
    )
    print_result(result, json_output, text)
