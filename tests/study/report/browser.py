"""A page opened in headless Chromium over the DevTools protocol: what the browser says of it."""

import json
import shutil
import subprocess
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import websocket

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--remote-debugging-port=0",
)  # fmt: skip
_DEADLINE_S = 30


def find_browser() -> str | None:
    """Path of a Chromium, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def _page(browser: str, profile: Path):
    """A connection to an empty tab."""
    command = [browser, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _DEADLINE_S
        tabs: list[Any] = []
        while not tabs:
            assert time.monotonic() < deadline, "the browser did not start"
            time.sleep(0.1)
            port = profile / "DevToolsActivePort"
            if port.is_file() and (lines := port.read_text().splitlines()):
                with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json/list") as answer:
                    tabs = [tab for tab in json.load(answer) if tab["type"] == "page"]
        connection = websocket.create_connection(
            tabs[0]["webSocketDebuggerUrl"], timeout=_DEADLINE_S, suppress_origin=True
        )
        try:
            yield connection
        finally:
            connection.close()
    finally:
        process.terminate()
        process.wait(timeout=_DEADLINE_S)


def visit(browser: str, profile: Path, file: Path, script: str) -> dict[str, Any]:
    """Open a file and look at it.

    Args:
        browser: of `find_browser`.
        profile: empty folder for the browser.
        file: the page.
        script: JavaScript expression, evaluated when the page is loaded.

    Returns:
        `requests` (addresses asked for), `failed` (requests that failed), `errors` (console
        errors and exceptions) and `value` (of the script).
    """
    seen: dict[str, Any] = {"requests": [], "failed": [], "errors": []}
    arrived, running = False, set[str]()  # the empty tab fires a load event of its own
    with _page(browser, profile) as connection:
        for number, domain in enumerate(("Page", "Network", "Log", "Runtime")):
            connection.send(json.dumps({"id": number, "method": f"{domain}.enable"}))
            # only once the answer is there will the tab tell everything about the next page
            while json.loads(connection.recv()).get("id") != number:
                pass
        go = {"id": 98, "method": "Page.navigate", "params": {"url": file.as_uri()}}
        connection.send(json.dumps(go))
        while True:
            message: dict[str, Any] = json.loads(connection.recv())
            method, values = message.get("method"), message.get("params", {})
            if method == "Network.requestWillBeSent":
                seen["requests"].append(url := values["request"]["url"])
                running |= {values["requestId"]} if not url.startswith("data:") else set()
            elif method == "Network.loadingFailed":
                seen["failed"].append(values)
                running.discard(values["requestId"])
            elif method == "Network.loadingFinished":
                running.discard(values["requestId"])
            elif method == "Page.frameNavigated":
                arrived = arrived or values["frame"]["url"] == file.as_uri()
            elif (
                method == "Runtime.exceptionThrown"
                or (method == "Log.entryAdded" and values["entry"]["level"] == "error")
                or (method == "Runtime.consoleAPICalled" and values["type"] == "error")
            ):
                seen["errors"].append(values)
            elif method == "Page.loadEventFired" and arrived:
                asked = {"expression": script, "awaitPromise": True, "returnByValue": True}
                call = {"id": 99, "method": "Runtime.evaluate", "params": asked}
                connection.send(json.dumps(call))
            elif message.get("id") == 99:
                seen["value"] = message["result"]["result"]["value"]
            if "value" in seen and not running:
                return seen
