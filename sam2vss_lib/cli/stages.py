"""The stages without models as commands: refine, evaluate."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sam2vss_lib.cli.from_settings import option_of, with_settings
from sam2vss_lib.cli.options import (
    ClipWork,
    JsonOption,
    OffsetOption,
    StageOptions,
    prediction_folders,
    print_clips,
    print_result,
    require_folders,
    run_stage,
    warn_of_demo_arbiter,
)
from sam2vss_lib.refinement.settings import RefineSettings
from sam2vss_lib.storage.targets import check_folder
from sam2vss_lib.study.settings import StudySettings

if TYPE_CHECKING:
    from sam2vss_lib.metrics import MetricSuite
    from sam2vss_lib.predictions.folder import PredictionFolder


@with_settings(StageOptions, without=["mask_offset", "stray_labels"])
@with_settings(RefineSettings)
def refine_command(
    settings: RefineSettings,
    stage: StageOptions,
    predictions: Annotated[
        list[Path],
        typer.Option(help="Base predictions; for the vote `ensemble` repeated, the first painted."),
    ],
    masklets: Annotated[Path, typer.Option(help="Masklet store.")],
    out: Annotated[Path, typer.Option(help="Folder of refined predictions.")],
    label_offset: OffsetOption = 0,
    json_output: JsonOption = False,
) -> None:
    """Give every masklet the class most frequent under it in a base model's predictions."""
    check_folder(out)
    dataset = stage.open()
    warn_of_demo_arbiter(settings, stage.dataset)
    bases = prediction_folders(predictions, dataset, label_offset)
    require_folders(masklets=masklets)
    work = partial(_refining, bases, masklets, replace(bases[0], root=out), settings, stage.device)
    pool = stage.pool(may_use_gpu=stage.device.startswith("cuda"))
    print_clips(out, dataset, sum(run_stage(dataset, work, pool, "refine")), json_output)


def _refining(
    bases: list[PredictionFolder],
    masklets: Path,
    out: PredictionFolder,
    settings: RefineSettings,
    device: str,
) -> ClipWork[int]:
    from sam2vss_lib.masklets.store import MaskletStore
    from sam2vss_lib.refinement.refine import refine
    from sam2vss_lib.validation import resolve_device

    if device not in ("auto", "cpu"):  # loads torch, which refining itself may do without
        resolve_device(device)
    base, *others = bases
    made = {"predictions": base, "masklets": MaskletStore(masklets), "out": out}
    return partial(refine, **made, settings=settings, others=others, device=device)


@with_settings(StageOptions)
def evaluate_command(
    stage: StageOptions,
    predictions: Annotated[Path, typer.Option(help="Folder of predictions.")],
    out: Annotated[Path, typer.Option(help="The metrics.json to write.")],
    label_offset: OffsetOption = 0,
    seed: Annotated[int, option_of(StudySettings, "seed")] = 0,
    json_output: JsonOption = False,
) -> None:
    """Measure predictions against ground truth: mIoU, FWIoU, mBIoU, mVC8, mVC16.

    Beside metrics.json goes metrics.npz with the sums per clip, beside run.v1 goes run.v1.npz.
    """
    from sam2vss_lib.metrics import MetricSuite
    from sam2vss_lib.predictions.folder import PredictionFolder
    from sam2vss_lib.study.stages.evaluation import (
        check_metrics_path,
        offset_warning,
        write_evaluation,
    )
    from sam2vss_lib.validation import resolve_device

    check_metrics_path(out)
    dataset, pool = stage.open(), stage.pool(may_use_gpu=stage.device.startswith("cuda"))
    require_folders(predictions=predictions)
    folder = PredictionFolder(predictions, dataset.num_classes, label_offset)
    suite = MetricSuite(dataset.num_classes)
    for part in run_stage(dataset, partial(_counting, folder, stage.device), pool, "evaluate"):
        suite.merge(part)
    if warning := offset_warning(dataset, folder):
        typer.echo(f"warning: {warning}", err=True)
    result = write_evaluation(
        out,
        suite,
        dataset,
        folder,
        mask_offset=stage.mask_offset,
        device=resolve_device(stage.device),
        seed=seed,
    )
    text = "  ".join(
        f"{name} {'-' if value is None else format(value, '.2f')}"
        for name, value in result["metrics"].items()
    )
    reasons = [
        f"{name}: {result['notes'][name]}" for name in result["metrics"] if name in result["notes"]
    ]
    counted = f"{result['frames']} frames"
    if "annotated_frames" in result:
        counted = f"{result['annotated_frames']} of {counted} are annotated and scored"
    print_result(
        result, json_output, "\n".join((text, *reasons, f"{counted}; everything in {out}"))
    )


def _counting(folder: PredictionFolder, device: str) -> ClipWork[MetricSuite]:
    from sam2vss_lib.study.stages.evaluation import count_predictions
    from sam2vss_lib.validation import resolve_device

    return partial(count_predictions, predictions=folder, device=resolve_device(device))
