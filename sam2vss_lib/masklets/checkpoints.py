"""Published SAM2 weights: where they are kept, how they get there, and whether they are right."""

import os
from pathlib import Path
from typing import Literal

from sam2vss_lib.datasets.manifests import CheckpointFacts, load_checkpoints_manifest
from sam2vss_lib.errors import DataError, SettingsError
from sam2vss_lib.storage.downloads import Connection, check_published, fetch_file

State = Literal["embedded", "missing", "right", "wrong"]


def checkpoint_folder() -> Path:
    """Where official checkpoints are kept: $SAM2VSS_CHECKPOINTS or the user's cache."""
    default = Path.home() / ".cache" / "sam2vss" / "checkpoints"
    return Path(os.environ.get("SAM2VSS_CHECKPOINTS", default))


def checkpoint_sources(facts: CheckpointFacts, mirror: str | None = None) -> list[str]:
    """Addresses of a checkpoint's file, the best one first.

    A mirror, a folder's address, is the only one: files are looked for by their names in it.
    $SAM2VSS_MIRROR is used where it is None; $HF_ENDPOINT moves the hub.
    """
    mirror = mirror or os.environ.get("SAM2VSS_MIRROR")
    if mirror:
        if not mirror.startswith(("http://", "https://")):
            raise SettingsError(f"mirror is {mirror!r}; it must start with https:// or http://")
        return [f"{mirror.rstrip('/')}/{facts.file}"]
    sources = [facts.url] if facts.url else []
    if facts.hub is not None:
        from huggingface_hub import hf_hub_url

        repository, commit = facts.hub.repository, facts.hub.commit
        sources.append(hf_hub_url(repository, str(facts.file), revision=commit))
    return sources


def published_checkpoint(name: str) -> CheckpointFacts:
    """An entry of the manifest that has a file.

    Raises:
        SettingsError: no such checkpoint, or it is embedded.
    """
    known = {n: facts for n, facts in load_checkpoints_manifest().items() if facts.file}
    if name not in known:
        raise SettingsError(f"unknown checkpoint {name!r}; to fetch are: {', '.join(known)}")
    return known[name]


def fetch_checkpoint(
    name: str,
    *,
    offline: bool = False,
    mirror: str | None = None,
    connection: Connection | None = None,
) -> tuple[Path, bool]:
    """Fetch a checkpoint of the manifest: its file, and whether it was there already.

    It comes from its publisher's site, the hub, or a mirror.

    Raises:
        DataError: it cannot be fetched, or another file is in its place.
        SettingsError: no such checkpoint, or the mirror is no address.
    """
    facts = published_checkpoint(name)
    path = checkpoint_folder() / str(facts.file)
    reused = fetch_file(
        checkpoint_sources(facts, mirror),
        path,
        sha256=str(facts.sha256),
        size_bytes=facts.bytes or 0,
        offline=offline,
        connection=connection,
    )
    return path, reused


def checkpoint_state(facts: CheckpointFacts) -> tuple[State, str]:
    """Whether a checkpoint's file is there with the published hash, and if "wrong", what is."""
    if facts.file is None:
        return "embedded", ""
    path = checkpoint_folder() / facts.file
    if not path.is_file():
        return "missing", ""
    try:
        check_published(path, str(facts.sha256), facts.bytes or 0)
    except DataError as error:
        return "wrong", str(error)
    return "right", ""
