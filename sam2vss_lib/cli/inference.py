"""The stages with models as commands: segment, masklets."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2vss_lib.cli.options import (
    ClassesOption,
    DatasetOption,
    DeviceOption,
    JsonOption,
    MaxClipsOption,
    SplitOption,
    open_clips,
    print_result,
)
from sam2vss_lib.cli.scale import ClipWork, Places, RayOption, WorkersOption, run_stage

if TYPE_CHECKING:
    from sam2vss_lib.masklets.generate import MaskletRun
    from sam2vss_lib.masklets.settings import MaskletSettings
    from sam2vss_lib.segmentors import InferenceOptions


def segment_command(
    dataset: DatasetOption,
    model: Annotated[str, typer.Option("--model", help="NAME[:CHECKPOINT], see above.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of predictions.")],
    split: SplitOption = "val",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write class probabilities too.")
    ] = False,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16 (autocast).")] = "float32",
    batch_frames: Annotated[int, typer.Option(min=1, help="Frames in the network at a time.")] = 4,
    tv3s_mode: Annotated[
        int, typer.Option(help="0: with references; 1: frame by frame; 2: carrying state along.")
    ] = 0,
    num_classes: ClassesOption = None,
    max_clips: MaxClipsOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    ray: RayOption = None,
    json_output: JsonOption = False,
) -> None:
    """Predict the labels of every frame with a base model.

    Embedded models need no checkpoint: segformer-micro, segformer-mini and others made on the
    demo. The published ones are given with their weights:

    segformer-mit_b0 .. mit_b5:FILE (Hugging Face folder or file, or mmsegmentation file),

    cffm-mit_b{0,1,2,5}:FILE, mrcfa-mit_b{0,1,2,5}:FILE, tv3s-mit_b{1,2,5}:FILE, files as their
    authors publish them: a state dict, or a dict with state_dict, of backbone.patch_embed1.* ..
    backbone.norm4.* and decode_head.*. The README lists the keys of each head.
    """
    from sam2vss_lib.segmentors import InferenceOptions
    from sam2vss_lib.validation import validated

    options = validated(
        InferenceOptions,
        {"precision": precision, "batch_frames": batch_frames, "tv3s_mode": tv3s_mode},
        "option",
    )
    opened = open_clips(dataset, split, num_classes, max_clips)
    work = partial(_segmenting, model, device, options, out, probabilities)
    places = Places(workers, ray, gpu=device != "cpu")
    reused = sum(run_stage(opened, work, places, "segment"))
    result = {"out": str(out), "clips": len(opened), "reused": reused}
    print_result(result, json_output, f"{len(opened)} clips in {out}, {reused} of them reused")


def _segmenting(
    model: str, device: str, options: InferenceOptions, out: Path, probabilities: bool
) -> ClipWork[int]:
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.segmentors import load_segmentor, segment
    from sam2vss_lib.validation import resolve_device

    segmentor = load_segmentor(model, resolve_device(device), options)
    folder = PredictionFolder(out, segmentor.num_classes)
    return partial(segment, segmentor=segmentor, out=folder, save_probabilities=probabilities)


def masklets_command(
    dataset: DatasetOption,
    checkpoint: Annotated[str, typer.Option("--checkpoint", help="demo, a name or a path.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the masklet store.")],
    split: SplitOption = "val",
    config: Annotated[
        str | None, typer.Option("--config", help="SAM2 configuration of an unofficial file.")
    ] = None,
    window: Annotated[int, typer.Option(help="Frames a masklet is propagated through.")] = 32,
    points_per_side: Annotated[int, typer.Option(help="Point grid on the first frame.")] = 16,
    pred_iou_thresh: Annotated[float, typer.Option(help="Keep predicted IoU above this.")] = 0.6,
    stability_score_thresh: Annotated[float, typer.Option(help="Keep stability from this.")] = 0.8,
    stability_score_offset: Annotated[float, typer.Option(help="Logit offset of it.")] = 0.9,
    box_nms_thresh: Annotated[float, typer.Option(help="Box IoU of duplicates.")] = 0.7,
    points_per_batch: Annotated[int, typer.Option(help="Prompts decoded together.")] = 64,
    precision: Annotated[str, typer.Option(help="float32 or bfloat16 (autocast).")] = "float32",
    engine: Annotated[
        str, typer.Option(help="batched, or stock: sam2's own calls, an object at a time.")
    ] = "batched",
    preset: Annotated[
        str, typer.Option(help="exact, or fast: approximations; the options below change it.")
    ] = "exact",
    share_anchor_encoding: Annotated[
        bool | None, typer.Option(help="Propose on the encoding that tracking uses.")
    ] = None,
    merge_iou: Annotated[
        float | None, typer.Option(help="Follow masks once from this IoU on.")
    ] = None,
    memory_stride_frames: Annotated[
        int | None, typer.Option(help="Remember the mask of every n-th frame only.")
    ] = None,
    recent_memories: Annotated[
        int | None, typer.Option(help="Remembered masks in use, the first frame's aside.")
    ] = None,
    compile_encoder: Annotated[
        bool | None, typer.Option(help="Run the image encoder through torch.compile.")
    ] = None,
    max_objects_per_batch: Annotated[
        int | None, typer.Option(min=1, help="Objects propagated together; found when not given.")
    ] = None,
    max_clips: MaxClipsOption = None,
    device: DeviceOption = "auto",
    workers: WorkersOption = None,
    ray: RayOption = None,
    json_output: JsonOption = False,
) -> None:
    """Propose masks on every window's first frame and track them through the window."""
    from sam2vss_lib.masklets.approximations import preset_values
    from sam2vss_lib.masklets.generate import MaskletRun
    from sam2vss_lib.masklets.settings import MaskletSettings
    from sam2vss_lib.validation import validated

    approximations = {
        "share_anchor_encoding": share_anchor_encoding,
        "merge_iou": merge_iou,
        "memory_stride_frames": memory_stride_frames,
        "recent_memories": recent_memories,
        "compile_encoder": compile_encoder,
    }
    settings = validated(
        MaskletSettings,
        {
            "window": window,
            "points_per_side": points_per_side,
            "pred_iou_thresh": pred_iou_thresh,
            "stability_score_thresh": stability_score_thresh,
            "stability_score_offset": stability_score_offset,
            "box_nms_thresh": box_nms_thresh,
            "points_per_batch": points_per_batch,
            "precision": precision,
            "engine": engine,
            **preset_values(preset),
            **{name: value for name, value in approximations.items() if value is not None},
        },
        "option",
    )
    opened = open_clips(dataset, split, None, max_clips)
    work = partial(tracking, checkpoint, device, config, settings, out, max_objects_per_batch)
    run = sum(
        run_stage(opened, work, Places(workers, ray, gpu=device != "cpu"), "masklets"), MaskletRun()
    )
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
    from sam2vss_lib.masklets.sam2 import load_sam2
    from sam2vss_lib.validation import resolve_device

    model = load_sam2(checkpoint, device=resolve_device(device), config=config)
    return partial(
        generate_masklets,
        model=model,
        settings=settings,
        out=out,
        max_objects_per_batch=max_objects_per_batch,
    )
