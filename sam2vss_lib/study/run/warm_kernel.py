"""Notebook kernels that start at once: forks of a process that has imported what they need.

A kernel that is a new interpreter takes seconds to import torch, pandas and matplotlib, ten times
in a study. Here Python's fork server imports them once and runs nothing; every kernel is a fresh
fork of it, as isolated as any process.
"""

import os
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, get_context, parent_process
from multiprocessing.context import ForkServerContext, ForkServerProcess
from threading import Thread
from typing import Any, Final
from uuid import uuid4

import psutil
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Integer

#: what takes seconds of the imports of notebooks and jobs; the fork server passes over what is not
#: there, so a test looks for them
IMPORTED = (
    "IPython", "ipykernel.kernelapp", "matplotlib.pyplot", "matplotlib_inline.backend_inline",
    "pandas.io.formats.style", "seaborn", "sam2vss_lib.masklets.engines.batched.clip",
    "sam2vss_lib.study.results.figures", "sam2vss_lib.study.run.stage_jobs",
    "transformers.models.segformer.modeling_segformer",
)  # fmt: skip
_COMMAND: Final = [sys.executable, "-m", "ipykernel_launcher"]
_THREADS: Final = "OMP_NUM_THREADS"
_running: set[ForkServerProcess] = set()


def warm_up() -> ForkServerContext | None:
    """Let the fork server import, in the background, what kernels will need.

    Returns:
        Where kernels are forked; None where libraries do not bear it (any system but Linux).
    """
    if sys.platform != "linux":
        return None
    context = get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED])
    forkserver.ensure_running()
    return context


def kernel_processes() -> list[psutil.Process]:
    """The kernels that this process has started and that are still there."""
    forked = [psutil.Process(process.pid) for process in _running if process.is_alive()]
    children = psutil.Process().children()
    return forked + [child for child in children if "ipykernel" in str(child.cmdline())]


class StudyKernelManager(AsyncKernelManager):
    """Starts kernels that are given their share of the threads, and forks this interpreter's."""

    threads = Integer(0, help="Of torch; 0 for all.").tag(config=True)

    def __init__(self, **traits: Any) -> None:
        super().__init__(**traits)
        spec = self.kernel_spec
        if spec is not None and not spec.metadata.get("kernel_provisioner"):
            self.provisioner = _Starter(kernel_id=str(uuid4()), kernel_spec=spec, parent=self)


class _Starter(LocalProvisioner):
    """Starts kernels on this machine; all else is Jupyter's."""

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Prepare a kernel's environment."""
        if threads := getattr(self.parent, "threads", 0):  # torch takes them from there
            kwargs["env"] = {_THREADS: str(threads), **os.environ}
        return await super().pre_launch(**kwargs)

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork a kernel with its arguments, environment and working folder, or start it anew."""
        context = warm_up() if cmd[:3] == _COMMAND else None
        if context is None:
            return await super().launch_kernel(cmd, **kwargs)
        self.cwd = kwargs.get("cwd") or os.getcwd()
        process = context.Process(target=_run, args=(cmd[3:], dict(kwargs["env"]), str(self.cwd)))
        process.start()
        _running.add(process)
        self.process = _AsPopen(process)
        self.pid = self.pgid = process.pid  # the kernel makes a group of its own
        return self.connection_info


class _AsPopen:
    """A forked process with the methods by which Jupyter handles a local one."""

    stdin = stdout = stderr = None

    def __init__(self, process: ForkServerProcess) -> None:
        self._process = process
        self.pid = process.pid

    def poll(self) -> int | None:
        """Its exit code, once it has one."""
        return self._process.exitcode

    def wait(self) -> int | None:
        """Its exit code, when it has one."""
        self._process.join()
        _running.discard(self._process)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(int(self._process.pid or 0), number)

    def terminate(self) -> None:
        """End it politely."""
        self._process.terminate()

    def kill(self) -> None:
        """End it."""
        self._process.kill()


def _run(arguments: Sequence[str], environment: dict[str, str], place: str) -> None:
    """What a fork does: it becomes a kernel, which ends with the process that asked for it."""
    import torch
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(place)
    if threads := environment.get(_THREADS):  # torch has read another when it was imported
        torch.set_num_threads(int(threads))
    Thread(target=_end_with_parent, daemon=True).start()
    IPKernelApp.launch_instance(argv=[*arguments])


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
