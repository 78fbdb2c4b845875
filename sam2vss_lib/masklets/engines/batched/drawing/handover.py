"""Work that is handed over to a thread, in order, while the caller goes on."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

_AHEAD = 3  # jobs that wait at most, each of which holds the logits of a frame


class Handover:
    """A thread that does one job after the other; as a context, it ends with all of them done.

    What a job raises is raised by one of the next calls, or at the end. Jobs that still wait when
    the block ends by an error, be it Ctrl-C, are not done.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name)
        self._waiting = deque[Future[None]]()

    def __enter__(self) -> Self:
        return self

    def put(self, job: Callable[[], None]) -> None:
        """Have a job done; this waits while too many do."""
        while len(self._waiting) >= _AHEAD or (self._waiting and self._waiting[0].done()):
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(job))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            while self._waiting and error is None:
                self._waiting.popleft().result()
        finally:
            self._pool.shutdown(cancel_futures=True)
