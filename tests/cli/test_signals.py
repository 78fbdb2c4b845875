"""A command that is told to stop takes its worker processes with it."""

import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil


def test_sigterm_ends_a_command_and_its_workers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sam2vss_lib.cli", "masklets", "--workers", "2"]
    command += ["--dataset", "demo", "--checkpoint", "demo"]
    command += ["--out", str(tmp_path / "out")]
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    family, started = list[psutil.Process](), False
    while not started:
        assert driver.poll() is None
        time.sleep(0.1)
        with suppress(psutil.NoSuchProcess):  # Ray's start-up scripts come and go
            family = psutil.Process(driver.pid).children(recursive=True)
            started = any("ray::_Worker" in str(process.cmdline()) for process in family)
    driver.send_signal(signal.SIGTERM)
    _, errors = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert errors.strip() == "interrupted: what is finished is kept, the same command goes on"
    _, alive = psutil.wait_procs(family, timeout=60)
    assert alive == []


def test_ctrl_c_while_a_command_is_loaded_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt")
    command = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import sam2vss_lib.cli"
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
