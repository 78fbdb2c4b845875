"""A local HTTP server that serves one file in every wrong way that a download meets."""

import hashlib
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class UnreliableServer(ThreadingHTTPServer):
    """What it does is in the first part of the path: `/truncate/file.pt` and so on.

    Attributes:
        hits: requests by kind.
        ranges: the Range headers received, in order.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.hits: Counter[str] = Counter()
        self.ranges: list[str] = []
        self.stopped = threading.Event()

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is no fault here."""

    def url(self, kind: str) -> str:
        """Address of the file, served so."""
        return f"http://127.0.0.1:{self.server_address[1]}/{kind}"


@contextmanager
def unreliable_server() -> Generator[UnreliableServer]:
    """A running server."""
    with UnreliableServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.stopped.set()
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: UnreliableServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        self.server.hits[kind] += 1
        asked = self.headers.get("Range", "")
        self.server.ranges.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-") or 0)
        match kind:
            case "good":
                self._give(CONTENT, start)
            case "no-ranges":
                self._give(CONTENT, 0)
            case "truncate":  # the third request gets the rest
                self._give(CONTENT, start, only=70_000 if self.server.hits[kind] < 3 else None)
            case "nothing":
                self._give(CONTENT, start, only=0)
            case "redirect":
                self._redirect("/good/x")
            case "loop":
                self._redirect(self.path)
            case "redirect-elsewhere":
                self._redirect("ftp://127.0.0.1/weights.pt")
            case "stall":
                self._give(CONTENT, start, only=70_000, then_wait=True)
            case "wrong":
                self._give(bytes(len(CONTENT)), start)
            case "changed":  # another file until it is asked for from its start
                self._give(bytes(len(CONTENT)) if start else CONTENT, start)
            case "page":
                self._give(b"<html>log in first</html>", 0)
            case "endless":
                self.send_response(200)
                self.end_headers()
                while not self.server.stopped.is_set():
                    self.wfile.write(bytes(2**16))
            case "busy":
                if self.server.hits[kind] < 3:
                    self.send_error(503)
                else:
                    self._give(CONTENT, start)
            case "shorter":
                self.send_error(416) if start else self._give(CONTENT, 0)
            case "other-part":
                self._give(CONTENT, start + 100)
            case _:
                self.send_error(404)

    def _give(
        self, content: bytes, start: int, only: int | None = None, then_wait: bool = False
    ) -> None:
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            last = len(content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(content)}")
        self.end_headers()
        end = len(content) if only is None else start + only
        self.wfile.write(content[start:end])
        if then_wait:
            self.wfile.flush()
            self.server.stopped.wait(20)

    def _redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()
