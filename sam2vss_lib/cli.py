"""The command line: every stage of the study on its own, and the study as a whole.

Exit codes: 0 done, 2 bad arguments or settings, 3 missing or bad data or weights, 4 a failed run.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
import yaml
from tqdm import tqdm
from typer.core import TyperGroup
from typer.exceptions import TyperException

from sam2vss_lib.errors import DataError, RunError, Sam2VssError, SettingsError

# Heavy imports (torch, sam2, transformers) wait inside the commands, so that --help is instant.


class _OneLineErrors(TyperGroup):
    """Turns errors raised on purpose into one line and their exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except Sam2VssError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(error.exit_code) from None
        except (TyperException, typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if os.environ.get("SAM2VSS_DEBUG"):
                raise
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            typer.echo(f"error: {reason} (SAM2VSS_DEBUG=1 shows where)", err=True)
            raise typer.Exit(RunError.exit_code) from None


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="SAM2 for video semantic segmentation: masklets, refinement, metrics, and the study.",
)
data_app = typer.Typer(no_args_is_help=True, help="Data sets in VSPW layout.")
app.add_typer(data_app, name="data")

DatasetOption = Annotated[
    str, typer.Option("--dataset", help="Data set root in VSPW layout, or demo.")
]
SplitOption = Annotated[str, typer.Option("--split", help="Name of the split list.")]
ClassesOption = Annotated[
    int | None, typer.Option("--num-classes", help="Where the data set has no class list.")
]
MaxClipsOption = Annotated[
    int | None, typer.Option("--max-clips", min=1, help="Only the first clips of the split.")
]
StrayOption = Annotated[
    str, typer.Option("--stray-labels", help="Mask values that are no class: error or void.")
]
DeviceOption = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
OffsetOption = Annotated[
    int, typer.Option("--label-offset", help="1 for prediction files that use 1..C.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.callback()
def _main(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what is done.")] = False,
) -> None:
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, format="%(message)s")


def _open(
    dataset: str, split: str, num_classes: int | None, max_clips: int | None, stray: str = "error"
) -> Any:
    from sam2vss_lib.datasets import open_dataset

    opened = open_dataset(dataset, split, num_classes=num_classes, stray_labels=_stray(stray))
    return opened.take(max_clips)


def _stray(value: str) -> Literal["error", "void"]:
    if value not in ("error", "void"):
        raise SettingsError(f"--stray-labels {value}: expected error or void")
    return value


@contextmanager
def _clip_bar(dataset: Any, what: str) -> Generator[Callable[[str], None]]:
    """Progress over clips, on a terminal only."""
    with tqdm(total=len(dataset), desc=what, unit="clip", disable=None) as bar:

        def tick(_clip: str) -> None:
            bar.update()

        yield tick


def _report(result: dict[str, Any], as_json: bool, text: str) -> None:
    typer.echo(json.dumps(result, indent=1) if as_json else text)


@app.command()
def doctor(json_output: JsonOption = False) -> None:
    """Say what this machine has for the study, and what it lacks."""
    from sam2vss_lib.study.doctor import examine, to_text

    result = examine()
    _report(result, json_output, to_text(result))


@data_app.command("list")
def data_list(json_output: JsonOption = False) -> None:
    """List the data sets the study knows."""
    from sam2vss_lib.datasets.manifests import load_datasets_manifest

    facts = {k: v.model_dump(mode="json") for k, v in load_datasets_manifest().items()}
    lines = [
        f"{name}: {entry['title']}; "
        + ", ".join(f"{s} {v['clips']} clips" for s, v in entry["splits"].items())
        for name, entry in facts.items()
    ]
    lines.append("demo: generated clips, --dataset demo")
    _report(facts, json_output, "\n".join(lines))


@data_app.command("verify")
def data_verify(
    root: Annotated[str, typer.Argument(help="Data set root, or demo.")],
    split: SplitOption = "val",
    num_classes: ClassesOption = None,
    stray_labels: StrayOption = "error",
    json_output: JsonOption = False,
) -> None:
    """Check every clip, frame and mask of a split; exit code 3 if anything is wrong."""
    from sam2vss_lib.datasets import verify_dataset

    stray = _stray(stray_labels)
    report = verify_dataset(root, split, num_classes=num_classes, stray_labels=stray)
    _report(report.model_dump(mode="json"), json_output, report.summary())
    if not report.ok:
        raise typer.Exit(DataError.exit_code)


@app.command("segment")
def segment_command(
    dataset: DatasetOption,
    model: Annotated[str, typer.Option("--model", help="NAME[:CHECKPOINT].")],
    out: Annotated[Path, typer.Option("--out", help="Folder of predictions.")],
    split: SplitOption = "val",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write class probabilities too.")
    ] = False,
    num_classes: ClassesOption = None,
    max_clips: MaxClipsOption = None,
    device: DeviceOption = "auto",
    json_output: JsonOption = False,
) -> None:
    """Predict the labels of every frame with a base model."""
    from sam2vss_lib.datasets import PredictionFolder
    from sam2vss_lib.segmentors import load_segmentor, segment
    from sam2vss_lib.study.settings import resolve_device

    opened = _open(dataset, split, num_classes, max_clips)
    segmentor = load_segmentor(model, resolve_device(device))
    folder = PredictionFolder(out, segmentor.num_classes)
    with _clip_bar(opened, "segment") as tick:
        reused = segment(opened, segmentor, folder, save_probabilities=probabilities, progress=tick)
    result = {"out": str(out), "clips": len(opened), "reused": reused}
    _report(result, json_output, f"{len(opened)} clips in {out}, {reused} of them reused")


@app.command("masklets")
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
    max_clips: MaxClipsOption = None,
    device: DeviceOption = "auto",
    json_output: JsonOption = False,
) -> None:
    """Propose masks on every window's first frame and track them through the window."""
    from sam2vss_lib.masklets.settings import MaskletSettings
    from sam2vss_lib.study.settings import resolve_device, validated

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
        },
        "option",
    )
    opened = _open(dataset, split, None, max_clips)
    from sam2vss_lib.masklets.generate import generate_masklets
    from sam2vss_lib.masklets.sam2 import load_sam2

    model = load_sam2(checkpoint, device=resolve_device(device), config=config)
    with _clip_bar(opened, "masklets") as tick:
        run = generate_masklets(opened, model, settings, out, progress=tick)
    result = {
        "out": str(out),
        "clips": run.clips,
        "reused": run.reused,
        "frames": run.frames,
        "masklets": run.masklets,
        "seconds": sum(run.seconds_by_clip.values()),
    }
    text = f"{run.clips} clips in {out}, {run.reused} of them reused; {run.masklets} new masklets"
    _report(result, json_output, text)


@app.command("refine")
def refine_command(
    dataset: DatasetOption,
    predictions: Annotated[Path, typer.Option("--predictions", help="Base predictions.")],
    masklets: Annotated[Path, typer.Option("--masklets", help="Masklet store.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of refined predictions.")],
    split: SplitOption = "val",
    vote: Annotated[str, typer.Option(help="frame or masklet (its whole window).")] = "frame",
    overlap: Annotated[
        str, typer.Option(help="area (small on top), predicted_iou, stability or logit.")
    ] = "area",
    label_offset: OffsetOption = 0,
    num_classes: ClassesOption = None,
    max_clips: MaxClipsOption = None,
    device: DeviceOption = "auto",
    json_output: JsonOption = False,
) -> None:
    """Give every masklet the class most frequent under it in a base model's predictions."""
    from sam2vss_lib.datasets import PredictionFolder
    from sam2vss_lib.masklets.store import MaskletStore
    from sam2vss_lib.refinement import RefineSettings, refine
    from sam2vss_lib.study.settings import resolve_device, validated

    settings = validated(RefineSettings, {"vote": vote, "overlap": overlap}, "option")
    opened = _open(dataset, split, num_classes, max_clips)
    _require_folders(predictions=predictions, masklets=masklets)
    classes = opened.num_classes
    with _clip_bar(opened, "refine") as tick:
        reused = refine(
            opened,
            PredictionFolder(predictions, classes, label_offset),
            MaskletStore(masklets),
            PredictionFolder(out, classes, label_offset),
            settings,
            device=resolve_device(device),
            progress=tick,
        )
    result = {"out": str(out), "clips": len(opened), "reused": reused}
    _report(result, json_output, f"{len(opened)} clips in {out}, {reused} of them reused")


@app.command("evaluate")
def evaluate_command(
    dataset: DatasetOption,
    predictions: Annotated[Path, typer.Option("--predictions", help="Folder of predictions.")],
    out: Annotated[Path, typer.Option("--out", help="The metrics.json to write.")],
    split: SplitOption = "val",
    label_offset: OffsetOption = 0,
    num_classes: ClassesOption = None,
    max_clips: MaxClipsOption = None,
    stray_labels: StrayOption = "error",
    device: DeviceOption = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    json_output: JsonOption = False,
) -> None:
    """Measure predictions against ground truth: mIoU, FWIoU, mBIoU, mVC8, mVC16.

    Beside the JSON file goes an .npz file of the same name with the sums per clip.
    """
    from sam2vss_lib.datasets import PredictionFolder
    from sam2vss_lib.study.evaluation import count_predictions, predictions_sha256, write_metrics
    from sam2vss_lib.study.provenance import collect_provenance
    from sam2vss_lib.study.settings import resolve_device

    if out.is_dir():
        raise SettingsError(f"--out {out}: is a folder; expected the name of a file")
    opened = _open(dataset, split, num_classes, max_clips, stray_labels)
    _require_folders(predictions=predictions)
    torch_device = resolve_device(device)
    folder = PredictionFolder(predictions, opened.num_classes, label_offset)
    with _clip_bar(opened, "evaluate") as tick:
        suite = count_predictions(opened, folder, device=torch_device, progress=tick)
    provenance = collect_provenance(
        settings={"split": split, "label_offset": label_offset, "stray_labels": stray_labels},
        data_sha256=opened.content_sha256(),
        checkpoints={},
        predictions={str(predictions): predictions_sha256(opened, folder)},
        device=torch_device,
        seed=seed,
    )
    result = write_metrics(out, suite, provenance)
    text = "  ".join(
        f"{name} {'-' if value is None else format(value, '.2f')}"
        for name, value in result["metrics"].items()
    )
    _report(result, json_output, f"{text}\n{result['frames']} frames; everything in {out}")


@app.command()
def study(
    profile: Annotated[str, typer.Option(help="demo, vspw, ...")] = "demo",
    out: Annotated[Path, typer.Option(help="Results root.")] = Path("results"),
    only: Annotated[str | None, typer.Option(help="Notebooks by number, such as 01,04.")] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE of a notebook parameter; repeatable."),
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Run the study's notebooks headlessly; finished stages are reused."""
    from sam2vss_lib.study.runner import find_notebooks, plan_notebook, run_notebook

    overrides = dict(_assignment(text) for text in parameter or [])
    plans = [(n, plan_notebook(n, profile, out, overrides)) for n in find_notebooks(only)]
    failures: list[Sam2VssError] = []
    results: dict[str, str] = {}
    for notebook, parameters in plans:
        typer.echo(f"running {notebook.name} on profile {profile}", err=True)
        try:
            results[notebook.stem] = str(run_notebook(notebook, parameters))
        except Sam2VssError as error:
            typer.echo(f"error: {error}", err=True)
            failures.append(error)
    _report(results, json_output, "\n".join(f"{p}: {_reuse(Path(p))}" for p in results.values()))
    if failures:
        # a single cause keeps its code; several different ones are a failed run
        codes = {failure.exit_code for failure in failures}
        raise typer.Exit(codes.pop() if len(codes) == 1 else RunError.exit_code)


def _reuse(executed: Path) -> str:
    """How much of a notebook's shared work was there already."""
    from sam2vss_lib.files import read_json

    stages = read_json(executed.with_name("provenance.json"))["stages"]
    reused, total = (sum(stage[key] for stage in stages) for key in ("reused", "clips"))
    return f"{len(stages)} stages, {reused} of {total} clips reused"


def _assignment(text: str) -> tuple[str, Any]:
    """NAME=VALUE with a YAML value, so that 16 is a number and [a, b] a list."""
    name, separator, value = text.partition("=")
    if not separator:
        raise SettingsError(f"--set {text}: expected NAME=VALUE")
    try:
        return name.strip(), yaml.safe_load(value)
    except yaml.YAMLError:
        raise SettingsError(f"--set {text}: the value is not valid YAML") from None


def _require_folders(**folders: Path) -> None:
    for option, folder in folders.items():
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder (--{option})")


if __name__ == "__main__":
    app()
