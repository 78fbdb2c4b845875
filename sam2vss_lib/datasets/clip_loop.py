"""A stage's loop over clips, which other processes may be going through at the same time."""

from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sam2vss_lib.datasets.clips import Clip
from sam2vss_lib.datasets.vspw import Dataset
from sam2vss_lib.storage.files import held

_LOCKS = ".locks"


def each_clip(
    dataset: Dataset,
    outs: Sequence[Path],
    work: Callable[[Clip], bool],
    progress: Callable[[str], None],
) -> int:
    """Do every clip once, however many processes write to the same folders.

    Those that another process is at come last: then they are waited for, and found done. `work`
    makes a clip's outputs in `outs` unless they are there and returns whether they were; then
    `progress` is called with the clip's name.

    Returns:
        Number of clips whose outputs were there.
    """
    reused = 0
    with _tidy(outs):
        for clip, held_clip in _in_turn(dataset, outs):
            with held_clip:
                reused += work(clip)
            progress(clip.name)
    return reused


def each_clip_overlapping(
    dataset: Dataset,
    outs: Sequence[Path],
    work: Callable[[Clip, ExitStack], object],
    progress: Callable[[str], None],
) -> None:
    """As `each_clip`, but a clip's outputs are finished by a thread while the next is begun.

    What that takes is left on the stack that `work` gets, whose contexts end in the thread, or with
    the error where work has one. An error in the thread is raised at the next clip's end.
    """
    with _tidy(outs), ThreadPoolExecutor(1, "finishing") as pool:
        earlier: Future[None] | None = None
        for clip, held_clip in _in_turn(dataset, outs):
            with held_clip:
                work(clip, held_clip)
                finished = pool.submit(_finish, held_clip.pop_all(), clip.name, progress)
            if earlier is not None:
                earlier.result()
            earlier = finished
        if earlier is not None:
            earlier.result()


def _finish(stack: ExitStack, name: str, progress: Callable[[str], None]) -> None:
    stack.close()
    progress(name)


def _in_turn(dataset: Dataset, outs: Sequence[Path]) -> Iterator[tuple[Clip, ExitStack]]:
    """Clips with what holds them; first those that nobody else is at."""
    left = [*dataset]
    for wait in (False, True):
        clips, left = left, list[Clip]()
        for clip in clips:
            stack = ExitStack()
            if stack.enter_context(_held(clip, outs, wait=wait)):
                yield clip, stack
            else:
                stack.close()
                left.append(clip)


@contextmanager
def _held(clip: Clip, outs: Sequence[Path], *, wait: bool) -> Generator[bool]:
    """Hold a clip in all folders or, without waiting, in none."""
    with ExitStack() as stack:
        # in one order for everybody, so that no two processes wait for each other
        locks = (out / _LOCKS / clip.name for out in sorted({*outs}))
        yield all(stack.enter_context(held(lock, wait=wait)) for lock in locks)


@contextmanager
def _tidy(outs: Sequence[Path]) -> Generator[None]:
    """Leave no folder that only locks were in."""
    made = [out for out in outs if not out.exists()]
    try:
        yield
    finally:
        for folder in (*(out / _LOCKS for out in outs), *made):
            with suppress(OSError):  # not empty, or somebody else was faster
                folder.rmdir()
