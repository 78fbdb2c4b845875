"""A stage's loop over clips, which other processes may be going through at the same time."""

from collections.abc import Callable, Generator, Sequence
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
    reused, left = 0, [*dataset]
    with _tidy(outs):
        for wait in (False, True):
            clips, left = left, list[Clip]()
            for clip in clips:
                with _held(clip, outs, wait=wait) as mine:
                    if mine:
                        reused += work(clip)
                if mine:
                    progress(clip.name)
                else:
                    left.append(clip)
    return reused


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
