"""JupyterLab on a folder of notebooks, in a real browser."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, sync_playwright

from tests.study.report.browser import find_browser

ROOT = Path(__file__).resolve().parents[2]
START_S = 90
_SETTINGS = {
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
}  # fmt: skip


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@contextmanager
def jupyterlab(folder: Path, *, dark: bool = False) -> Generator[str]:
    """The address of a server on this folder; it keeps nothing outside of it."""
    place, port = folder / ".jupyter", _free_port()
    theme = {"theme": f"JupyterLab {'Dark' if dark else 'Light'}"}
    for name, values in {**_SETTINGS, "@jupyterlab/apputils-extension/themes": theme}.items():
        path = place / "lab" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    places = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    environment = {
        **os.environ,
        **{f"JUPYTER_{name}": str(place / below) for name, below in places.items()},
        "JUPYTERLAB_SETTINGS_DIR": str(place / "lab"),
        "JUPYTERLAB_WORKSPACES_DIR": str(place / "workspaces"),
        "IPYTHONDIR": str(place / "ipython"),
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root",
        f"--ServerApp.port={port}", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={folder}",
        "--IdentityProvider.token=", "--ServerApp.password=",
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    log = (folder / "server.log").open("w", encoding="utf-8")
    server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START_S
        while True:
            try:
                urllib.request.urlopen(f"{address}/api", timeout=5).close()
                break
            except OSError:
                assert time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield address
    finally:
        kernels = psutil.Process(server.pid).children(recursive=True)
        server.terminate()
        with suppress(subprocess.TimeoutExpired):  # it waits for a kernel that is counting
            server.wait(timeout=10)
        for process in kernels:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.kill()
        server.wait()
        log.close()
        shutil.rmtree(place, ignore_errors=True)


@contextmanager
def browser_page(width: int = 1280, height: int = 1000) -> Generator[Page]:
    """A page of headless Chromium; the test is skipped where there is none."""
    path = find_browser()
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


def run_all(page: Page, address: str, notebook: str) -> None:
    """Open a notebook and run all of its cells."""
    page.goto(f"{address}/lab/tree/{notebook}")
    page.wait_for_selector(".jp-NotebookPanel .jp-Cell", timeout=START_S * 1000)
    page.wait_for_function(
        "() => window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
        " === 'idle'",
        timeout=START_S * 1000,
    )
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def errors_of(page: Page) -> list[Any]:
    """What the page complains of from now on."""
    found: list[Any] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    return found
