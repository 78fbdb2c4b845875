"""`sam2vss checkpoints` as commands, with a manifest whose file a local server has."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from sam2vss_lib.cli import app
from sam2vss_lib.datasets import manifests
from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
from sam2vss_lib.errors import SettingsError
from sam2vss_lib.masklets.checkpoints import checkpoint_sources
from tests.storage.unreliable_server import CONTENT, SHA256, unreliable_server

NAME = "sam2.1_hiera_tiny"


def call(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["checkpoints", *arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where checkpoints are kept, with the tiny one's facts those of the test server's file."""
    for name in ("SAM2VSS_OFFLINE", "HF_HUB_OFFLINE", "SAM2VSS_MIRROR", "HF_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAM2VSS_CHECKPOINTS", str(tmp_path))
    tiny = load_checkpoints_manifest()[NAME]
    small = tiny.model_copy(update={"bytes": len(CONTENT), "sha256": SHA256})
    known = load_checkpoints_manifest() | {NAME: small}
    monkeypatch.setattr("sam2vss_lib.masklets.checkpoints.load_checkpoints_manifest", lambda: known)
    monkeypatch.setattr(manifests, "load_checkpoints_manifest", lambda: known)
    return tmp_path


def test_fetch_list_verify(folder: Path):
    assert json.loads(call("list", "--json").stdout)[NAME]["present"] is False
    assert call("verify").exit_code == 0
    missing = call("verify", NAME)
    assert missing.exit_code == 3
    assert f"{NAME}: missing" in missing.stdout
    with unreliable_server() as server:
        mirror = server.url("truncate") + "/"
        done = call("fetch", NAME, "--mirror", mirror, "--json")
        assert done.exit_code == 0, done.output
    path = folder / "sam2.1_hiera_tiny.pt"
    assert json.loads(done.stdout) == {"checkpoint": NAME, "path": str(path), "reused": False}
    assert path.read_bytes() == CONTENT
    assert "there already" in call("fetch", NAME, "--offline").stdout
    assert f"{NAME}: 0 MiB, Apache-2.0, here" in call("list").stdout
    assert json.loads(call("verify", "--json").stdout)[NAME] == "right"
    path.write_bytes(b"\0" + CONTENT[1:])
    changed = call("verify")
    assert changed.exit_code == 3
    assert f"{path}: is not the published file" in changed.stdout


def test_what_cannot_be_fetched_is_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch):
    with unreliable_server() as server:
        monkeypatch.setenv("SAM2VSS_MIRROR", server.url("wrong"))
        refused(call("fetch", NAME), 3, f"{server.url('wrong')}/sam2.1_hiera_tiny.pt", "SHA-256")
        monkeypatch.setenv("SAM2VSS_MIRROR", server.url("stall"))
        refused(call("fetch", NAME, "--timeout", "0.2", "--retries", "0"), 3, "no answer")
    monkeypatch.setenv("SAM2VSS_MIRROR", "ftp://x")
    refused(call("fetch", NAME), 2, "ftp://x", "https://")
    refused(call("fetch", NAME, "--offline", "--mirror", "http://x"), 3, "offline")
    refused(call("fetch", "sam3"), 2, "sam3", "sam2.1_hiera_large")
    refused(call("fetch", "demo"), 2, "demo")
    refused(call("verify", "sam3"), 2, "sam3")
    assert [p.name for p in folder.iterdir() if p.name[0] != "."] == []


def refused(result: Result, code: int, *words: str) -> None:
    assert result.exit_code == code, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert all(word in line for word in words), line


def test_sources_are_the_site_then_the_hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SAM2VSS_MIRROR", raising=False)
    manifest = load_checkpoints_manifest()
    site, hub = checkpoint_sources(manifest["sam2.1_hiera_large"])
    assert site == manifest["sam2.1_hiera_large"].url
    commit = "665f8e2ad61cf5f53d65644ff27c8ee525124610"
    assert hub.endswith(f"/facebook/sam2.1-hiera-large/resolve/{commit}/sam2.1_hiera_large.pt")
    assert len(checkpoint_sources(manifest["sam2_hiera_base_plus"])) == 1
    mirrored = checkpoint_sources(manifest["sam2_hiera_tiny"], "https://a.org/b/")
    assert mirrored == ["https://a.org/b/sam2_hiera_tiny.pt"]
    with pytest.raises(SettingsError, match="must start with https"):
        checkpoint_sources(manifest["sam2_hiera_tiny"], "a.org")
