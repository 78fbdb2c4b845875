"""The scripts in docs/cluster: run where they can be, else read by what they are for."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from sam2vss_lib.cli import app

SCRIPTS = Path(__file__).resolve().parents[2] / "docs" / "cluster"


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/usr/bin/env bash\n{text}\n")
    path.chmod(0o755)


@pytest.mark.slow
def test_slurm_script_on_one_machine(
    tiny_vspw: Path, perfect_predictions: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray", reason="the extra [cluster] is not installed")
    script(tmp_path / "scontrol", 'test "$1 $2 $3" = "show hostnames node[1-1]" && echo 127.0.0.1')
    script(tmp_path / "srun", 'while [[ $1 == --* ]]; do shift; done\nexec "$@"')
    environment = {
        **os.environ,
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "SLURM_JOB_NODELIST": "node[1-1]",
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_PER_TASK": "1",
        "SAM2VSS_RAY_PORT": "6397",
    }
    out = tmp_path / "metrics.json"
    options = [f"--dataset={tiny_vspw}", f"--predictions={perfect_predictions}", "--label-offset=1"]
    command = ["bash", SCRIPTS / "slurm.sh", "evaluate", *options, f"--out={out}"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "mIoU 100.00" in done.stdout


def test_slurm_script_is_well_formed() -> None:
    subprocess.run(["bash", "-n", SCRIPTS / "slurm.sh"], check=True)


def test_kubernetes_job_runs_a_command_that_there_is(tmp_path: Path) -> None:
    job: dict[str, Any] = yaml.safe_load((SCRIPTS / "kubernetes.yaml").read_text())
    spec = job["spec"]["rayClusterSpec"]
    pinned = (SCRIPTS.parents[1] / "requirements.lock").read_text()
    assert f"\nray=={spec['rayVersion']} " in pinned
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        names = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for c in pod["containers"] for mount in c["volumeMounts"]} <= names
    program, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert program == "sam2vss"
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 3  # the options are right, and the data is not there
    assert "/volume/data/VSPW_480p" in answer.output
