"""The stages with models as commands: segment, masklets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.cli.options import (
    ClassesOption,
    ClipWork,
    ConfigOption,
    JsonOption,
    ObjectsOption,
    OffsetOption,
    StageOptions,
    print_clips,
    print_result,
    require_folders,
    run_stage,
    with_masklet_settings,
)
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.filling.settings import FillSettings
from sam2vss_lib.masklets.registry import ENGINES
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.segmentors.settings import InferenceOptions
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.study.settings import StudySettings

if TYPE_CHECKING:
    from sam2vss_lib.masklets.filling.fill import FillRun
    from sam2vss_lib.masklets.generate import MaskletRun


@with_settings(StageOptions, without=["mask_offset", "stray_labels"])
@with_settings(InferenceOptions, without=["cache_references"])
def segment_command(
    options: InferenceOptions,
    stage: StageOptions,
    model: Annotated[str, typer.Option(help="NAME[:CHECKPOINT], see above.")],
    out: Annotated[Path, typer.Option(help="Folder of predictions.")],
    classes: ClassesOption = None,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write class probabilities too.")
    ] = False,
    json_output: JsonOption = False,
) -> None:
    """Predict the labels of every frame with a base model.

    Embedded models need no checkpoint: segformer-micro, segformer-mini and others made on the
    demo. The published ones are given with their weights:

    segformer-mit_b0 .. mit_b5:FILE (Hugging Face folder or file, or mmsegmentation file),

    cffm-mit_b{0,1,2,5}:FILE, mrcfa-mit_b{0,1,2,5}:FILE, tv3s-mit_b{1,2,5}:FILE, files as their
    authors publish them: a state dict, or a dict with state_dict, of backbone.patch_embed1.* ..
    backbone.norm4.* and decode_head.*. The README lists the keys of each head.

    hf:FOLDER or hf:NAME, any model of transformers for semantic or universal segmentation, from a
    folder or the local Hugging Face cache (`sam2vss checkpoints fetch hf:NAME` fills it). Labels
    that are no class are void; `sam2vss predictions classes` lists them.
    """
    check_folder(out)
    dataset, pool = stage.open(), stage.pool(may_use_gpu=stage.device != "cpu")
    names = dataset.class_names
    work = partial(_segmenting, model, stage.device, options, names, classes, out, probabilities)
    print_clips(out, dataset, sum(run_stage(dataset, work, pool, "segment")), json_output)


def _segmenting(
    model: str,
    device: str,
    options: InferenceOptions,
    class_names: tuple[str, ...] | None,
    class_map: str | None,
    out: Path,
    probabilities: bool,
) -> ClipWork[int]:
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.segmentors.base import unmapped_warning
    from sam2vss_lib.segmentors.registry import load_segmentor
    from sam2vss_lib.segmentors.segment import segment
    from sam2vss_lib.validation import resolve_device

    loaded = load_segmentor(model, resolve_device(device), options)
    segmentor = loaded.for_classes(class_names, class_map)
    if segmentor.unmapped:
        typer.echo(f"warning: {segmentor.name}: {unmapped_warning(segmentor)}", err=True)
    folder = PredictionFolder(out, segmentor.num_classes)
    return partial(segment, segmentor=segmentor, out=folder, save_probabilities=probabilities)


@with_settings(StageOptions, without=["num_classes", "mask_offset", "stray_labels"])
@with_settings(FillSettings)
@with_masklet_settings
def masklets_command(
    settings: MaskletSettings,
    filling: FillSettings,
    stage: StageOptions,
    checkpoint: Annotated[str, option_of(StudySettings, "checkpoint")],
    out: Annotated[Path, typer.Option(help="Folder of the masklet store.")],
    fill: Annotated[
        Path | None,
        typer.Option(help="Masklet store to copy, and to prompt again where it does not cover."),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(help="Base predictions that prompt; without --fill in place of the grid."),
    ] = None,
    label_offset: OffsetOption = 0,
    config: ConfigOption = None,
    max_objects_per_batch: ObjectsOption = None,
    json_output: JsonOption = False,
) -> None:
    """Propose masks on every window's first frame and track them through the window.

    With --fill, masklets of a store are kept, and SAM2 is prompted again where they do not cover;
    the options of masklets must be those that the store was made with.
    """
    from sam2vss_lib.masklets.generate import MaskletRun

    check_folder(out)
    pool = stage.pool(may_use_gpu=stage.device != "cpu")
    if fill is None:
        if filling != FillSettings(prompts=filling.prompts):
            raise SettingsError("--fill-every-frames and the like: only with --fill; name a store")
        if filling.prompts == "predictions":
            filling = FillSettings.whole_windows(settings)
    made = checkpoint, stage.device, config, settings, out, max_objects_per_batch
    if fill or predictions or filling.prompts == "predictions":
        require_folders(**{n: p for n, p in (("fill", fill), ("predictions", predictions)) if p})
        work = partial(_filling, *made, filling, fill, predictions, label_offset)
        _print_filled(out, run_stage(stage.open(), work, pool, "masklets"), json_output)
        return
    work = partial(tracking, *made)
    run = sum(run_stage(stage.open(), work, pool, "masklets"), MaskletRun())
    result = {
        "out": str(out),
        "clips": run.clips,
        "reused": run.reused,
        "frames": run.frames,
        "masklets": run.masklets,
        "seconds": sum(run.seconds_by_clip.values()),
    }
    text = f"{run.clips} clips in {out}, {run.reused} of them reused; {run.masklets} new masklets"
    print_result(result, json_output, text)


def tracking(
    checkpoint: str,
    device: str,
    config: str | None,
    settings: MaskletSettings,
    out: Path,
    max_objects_per_batch: int | None,
) -> ClipWork[MaskletRun]:
    """The stage with its model loaded; arguments as of the command."""
    from sam2vss_lib.masklets.generate import generate_masklets
    from sam2vss_lib.validation import resolve_device

    engine = ENGINES[settings.engine]
    model = engine.load_model(checkpoint, device=resolve_device(device), config=config)
    return partial(
        generate_masklets,
        model=model,
        settings=settings,
        out=out,
        max_objects_per_batch=max_objects_per_batch,
    )


def _filling(
    checkpoint: str,
    device: str,
    config: str | None,
    settings: MaskletSettings,
    out: Path,
    max_objects_per_batch: int | None,
    filling: FillSettings,
    source: Path | None,
    predictions: Path | None,
    label_offset: int,
) -> ClipWork[FillRun]:
    from sam2vss_lib.datasets.labels import MAX_CLASSES
    from sam2vss_lib.masklets.filling.fill import fill_masklets
    from sam2vss_lib.masklets.store import MaskletStore
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.validation import resolve_device

    base = PredictionFolder(predictions, MAX_CLASSES, label_offset) if predictions else None
    engine = ENGINES[settings.engine]
    return partial(
        fill_masklets,
        model=engine.load_model(checkpoint, device=resolve_device(device), config=config),
        masklets=settings,
        settings=filling,
        source=MaskletStore(source) if source else None,
        out=out,
        predictions=base,
        max_objects_per_batch=max_objects_per_batch,
    )


def _print_filled(out: Path, runs: Iterable[FillRun], as_json: bool) -> None:
    from sam2vss_lib.masklets.filling.fill import FillRun

    run = sum(runs, FillRun())
    new, pixels = run.masklets, max(run.pixels, 1)
    before, after = (100 * px / pixels for px in (run.uncovered_before_px, run.uncovered_px))
    result = {
        "out": str(out),
        "clips": new.clips,
        "reused": new.reused,
        "frames": new.frames,
        "masklets": new.masklets,
        **asdict(run.work),
        "uncovered_before_percent": before,
        "uncovered_percent": after,
        "seconds": sum(new.seconds_by_clip.values()),
    }
    text = (
        f"{new.clips} clips in {out}, {new.reused} of them reused; {new.masklets} new masklets, "
        f"{run.work.object_frames} object-frames; {before:.2f} % of the pixels were uncovered, "
        f"{after:.2f} % are"
    )
    print_result(result, as_json, text)
