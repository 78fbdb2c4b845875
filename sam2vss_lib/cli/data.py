"""`sam2vss data`: the data sets that are known, and whether one on disk is whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from sam2vss_lib.cli.options import (
    ClassesOption,
    JsonOption,
    SplitOption,
    StrayOption,
    checked_stray,
    print_result,
)
from sam2vss_lib.errors import DataError

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
def data_verify(
    root: Annotated[str, typer.Argument(help="Data set root, demo or demo-b.")],
    split: SplitOption = "val",
    num_classes: ClassesOption = None,
    stray_labels: StrayOption = "error",
    expect: Annotated[
        str | None,
        typer.Option("--expect", help="vspw or vipseg: also compare with what was published."),
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
    from sam2vss_lib.files import write_json

    report = verify_dataset(
        root,
        split,
        num_classes=num_classes,
        stray_labels=checked_stray(stray_labels),
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
