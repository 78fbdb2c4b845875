"""A study in flight: stages and notebooks side by side, on when one of them fails."""

import sys
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from operator import methodcaller
from pathlib import Path
from threading import Event
from typing import Any, NamedTuple

import pandas as pd
from jupyter_core.utils import ensure_event_loop
from tqdm import tqdm

from sam2vss_lib.errors import MissingExtra, RunError, Sam2VssError
from sam2vss_lib.parallel.job_graph import Job, run_jobs
from sam2vss_lib.parallel.processes import end_processes, threads_each
from sam2vss_lib.parallel.ray_workers import RayPool, map_on_ray
from sam2vss_lib.storage.files import read_json
from sam2vss_lib.study.run.masklet_jobs import MASKLETS
from sam2vss_lib.study.run.planning import Plans
from sam2vss_lib.study.run.runner import TIMED, run_notebook
from sam2vss_lib.study.run.stage_jobs import stage_jobs
from sam2vss_lib.study.run.warm_kernel import kernel_processes, warm_up

#: notebooks that read what another one leaves
_READS = {"02": ("01",)}
_NOTEBOOK_S = 8.0  # about what a notebook takes that finds all stages done
_BAR = "{desc}: {percentage:3.0f}% |{bar}| {elapsed}, about {remaining} left"
Say = Callable[[str], None]


class Batch(NamedTuple):
    """What came of a run of several notebooks, by their names."""

    executed: dict[str, Path]  # the executed copies
    failures: dict[str, Sam2VssError]  # errors of those that failed


def run_study(plans: Plans, workers: int, say: Say, *, ray: str | None = None) -> Batch:
    """Compute what the notebooks will ask for, and run each as soon as all of it is there.

    What fails is said or left to the notebooks, each of which meets it again by itself. Of several
    workers, which share the machine's threads, each does one stage or notebook at a time; those on
    the Ray cluster at the address `ray` make the masklets. One worker makes masklets of several
    settings together, and leaves the rest to the notebooks.

    Raises:
        MissingExtra: Ray is asked for and not installed.
    """
    warm_up()
    elsewhere = None if ray is None else partial(_on_ray, address=ray, say=say)
    jobs, needs = stage_jobs(plans, workers, say, elsewhere)
    if jobs:
        kinds = Counter(job.kind for job in jobs)
        say(f"{len(jobs)} jobs, {workers} at a time, and notebooks as soon as theirs are done:")
        say("  " + ", ".join(f"{count} x {kind}" for kind, count in kinds.items()))
    return run_notebooks(plans, workers, say, stages=jobs, needs=needs)


def run_notebooks(
    plans: Plans,
    workers: int,
    say: Say,
    *,
    stages: Iterable[Job] = (),
    needs: Mapping[Path, frozenset[Hashable]] | None = None,
) -> Batch:
    """Run notebooks with their parameters, and stages that they need, `workers` at a time.

    One that reads another's result waits for it, too; those that time something run at the end,
    alone. An interrupt ends the kernels, which takes seconds, and keeps what is finished.
    """
    batch, stopping = Batch({}, {}), Event()
    places = iter(range(1, len(plans) + 1))

    def run(notebook: Path, threads: int | None) -> None:
        if stopping.is_set():
            return
        tell(f"running {notebook.name} ({next(places)} of {len(plans)})")
        shown = threads is None  # one progress bar at a time can be read
        try:
            batch.executed[notebook.stem] = run_notebook(
                notebook, plans[notebook], progress=shown, stopping=stopping, threads=threads
            )
        except Sam2VssError as error:
            tell(f"error: {error}")
            batch.failures[notebook.stem] = error
        finally:
            ensure_event_loop().close()  # nbclient opens one per thread and leaves it open

    def job(notebook: Path, threads: int | None, needed: frozenset[Hashable]) -> Job:
        work = partial(run, notebook, threads)
        return Job(notebook, "notebook", work, _NOTEBOOK_S, needed, here=True)

    share = threads_each(workers) if workers > 1 else None
    numbered = {notebook.stem[:2]: notebook for notebook in plans}
    together, alone = [*stages], list[Job]()
    for number, notebook in numbered.items():
        if number in TIMED:
            alone.append(job(notebook, None, frozenset()))
        else:
            source = {numbered[n] for n in _READS.get(number, ()) if n in numbered}
            together.append(job(notebook, share, (needs or {}).get(notebook, frozenset()) | source))
    total = sum(one.cost for one in (*together, *alone))
    with tqdm(total=total, desc="study", bar_format=_BAR, disable=None) as bar:

        def tell(text: str) -> None:
            with tqdm.external_write_mode(sys.stderr):
                say(text)

        def done(job: Job, failure: Any) -> None:
            if isinstance(failure, RunError) or (failure and job.kind == MASKLETS):
                tell(f"{job.kind}: {failure}")  # what went wrong with others, their notebooks say
            bar.update(job.cost)

        def interrupted() -> None:
            stopping.set()
            end_processes(kernel_processes())

        how: dict[str, Any] = {"what": "study", "done": done, "interrupted": interrupted}
        run_jobs(together, workers=workers, context=warm_up(), **how)
        run_jobs(alone, workers=1, **how)
    return batch


def _on_ray(jobs: list[Job], address: str, say: Say) -> None:
    """Make masklets on a Ray cluster."""
    try:
        failures = map_on_ray(
            partial(methodcaller, "work"),
            jobs,
            RayPool(address=address, gpu=True),
            costs=[job.cost for job in jobs],
            names=[str(job.name) for job in jobs],
            what="masklets",
            unit="s",
        )
    except MissingExtra:
        raise  # no notebook would meet it again
    except Sam2VssError as error:
        failures = [error]
    for failure in filter(None, failures):
        say(f"{MASKLETS}: {failure}")


def reuse_table(executed: Mapping[str, Path]) -> str:
    """How many of the clips that each stage of each executed notebook needed were there, as text.

    Returns:
        A table with a line a stage and a column a notebook; a sentence where no stage was run.
    """
    runs = [
        {"notebook": name[:2], **stage}
        for name, path in executed.items()
        for stage in read_json(path.with_name("provenance.json"))["stages"]
    ]
    if not runs:
        return "no stage was run, nothing reused"
    sums = pd.DataFrame(runs).pivot_table(
        ["reused", "clips"], "stage", "notebook", aggfunc="sum", fill_value=0,
        margins=True, margins_name="all", sort=False,
    )  # fmt: skip
    table = (sums["reused"].astype(str) + "/" + sums["clips"].astype(str)).replace("0/0", "")
    table.index.name = table.columns.name = None
    return (
        "clips reused / needed, by stage and notebook (what was computed for several notebooks "
        f"before they ran counts as reused in each):\n{table.to_string()}"
    )
