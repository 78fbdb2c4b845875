"""`sam2vss checkpoints`: the published SAM2 weights, fetched and checked."""

from typing import Annotated

import typer

from sam2vss_lib.cli.options import JsonOption, print_result
from sam2vss_lib.errors import DataError

app = typer.Typer(no_args_is_help=True, help="SAM2 weights: list, fetch, verify.")


@app.command("list")
def checkpoints_list(json_output: JsonOption = False) -> None:
    """List the checkpoints that are known by name, and which are here."""
    from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
    from sam2vss_lib.masklets.checkpoints import checkpoint_folder

    folder, lines = checkpoint_folder(), list[str]()
    result = {n: facts.model_dump(mode="json") for n, facts in load_checkpoints_manifest().items()}
    for name, entry in result.items():
        embedded = entry["file"] is None
        entry["present"] = embedded or (folder / entry["file"]).is_file()
        size = "embedded" if embedded else f"{entry['bytes'] / 2**20:.0f} MiB"
        here = "" if not entry["present"] or embedded else ", here"
        lines.append(f"{name}: {size}, {entry['licence']}{here}")
    lines.append(f"folder: {folder}")
    print_result(result, json_output, "\n".join(lines))


@app.command("fetch")
def checkpoints_fetch(
    name: Annotated[str, typer.Argument(help="Such as sam2.1_hiera_large, or hf:NAME.")],
    mirror: Annotated[
        str | None, typer.Option(help="Address of a folder that holds the file ($SAM2VSS_MIRROR).")
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Only check what is here ($SAM2VSS_OFFLINE).")
    ] = False,
    timeout_s: Annotated[
        float, typer.Option("--timeout", min=0.1, help="Seconds without an answer or a byte.")
    ] = 30.0,
    retries: Annotated[int, typer.Option(min=0, help="Tries after the first.")] = 4,
    json_output: JsonOption = False,
) -> None:
    """Fetch weights, continuing what was begun; in place only when their SHA-256 is right.

    A model of the Hugging Face hub, hf:NAME, goes into the local Hugging Face cache.
    """
    from sam2vss_lib.masklets.checkpoints import fetch_checkpoint
    from sam2vss_lib.storage.downloads import Connection

    kind, _, repository = name.partition(":")
    if kind == "hf":
        from sam2vss_lib.segmentors.hugging_face.fetching import fetch_model

        folder = fetch_model(repository, offline=offline, endpoint=mirror, timeout_s=timeout_s)
        print_result({"checkpoint": name, "path": str(folder)}, json_output, str(folder))
        return
    connection = Connection(timeout_s=timeout_s, retries=retries)
    path, reused = fetch_checkpoint(name, offline=offline, mirror=mirror, connection=connection)
    text = f"{path}, {'there already, ' if reused else ''}SHA-256 as published"
    print_result({"checkpoint": name, "path": str(path), "reused": reused}, json_output, text)


@app.command("verify")
def checkpoints_verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Those that must be here; by default none must.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Compare the SHA-256 of the weights that are here with the published ones."""
    from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
    from sam2vss_lib.masklets.checkpoints import (
        checkpoint_folder,
        checkpoint_state,
        published_checkpoint,
    )

    required = {name: published_checkpoint(name) for name in names or ()}
    states = {n: checkpoint_state(f) for n, f in (required or load_checkpoints_manifest()).items()}
    lines = [f"{name}: {problem or state}" for name, (state, problem) in states.items()]
    result = {name: state for name, (state, _) in states.items()}
    lines.append(f"folder: {checkpoint_folder()}")
    print_result(result, json_output, "\n".join(lines))
    bad = {"wrong", "missing"} if required else {"wrong"}
    if bad & {*result.values()}:
        raise typer.Exit(DataError.exit_code)
