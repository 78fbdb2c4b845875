"""What this machine has for the study: versions, devices, memory, weights, data."""

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import psutil
import torch

from sam2vss_lib.datasets.demo import cache_folder
from sam2vss_lib.datasets.manifests import load_checkpoints_manifest
from sam2vss_lib.masklets.checkpoints import checkpoint_folder
from sam2vss_lib.masklets.sam2 import DEMO
from sam2vss_lib.study.stages.provenance import device_name, package_versions

_MIB = 2**20


def examine() -> dict[str, Any]:
    """Facts about this machine, JSON-able."""
    folder = checkpoint_folder()
    cuda = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    return {
        "versions": package_versions(),
        "devices": [device_name(device) for device in ["cpu", *cuda]],
        "cores": psutil.cpu_count(logical=False),
        "memory_mib": psutil.virtual_memory().total // _MIB,
        "disk_free_mib": shutil.disk_usage(Path.cwd()).free // _MIB,
        # sam2's optional extension; without it stock hole filling is skipped, as here always
        "sam2_compiled_extension": importlib.util.find_spec("sam2._C") is not None,
        "checkpoint_folder": str(folder),
        "checkpoints": {
            name: name == DEMO or (folder / str(entry.file)).is_file()
            for name, entry in load_checkpoints_manifest().items()
        },
        "cache_folder": str(cache_folder()),
    }


def to_text(facts: dict[str, Any]) -> str:
    """The facts as lines to read."""
    here = [name for name, present in facts["checkpoints"].items() if present]
    lines = [
        "versions: " + ", ".join(f"{k} {v}" for k, v in facts["versions"].items()),
        "devices: " + "; ".join(facts["devices"]),
        f"{facts['cores']} cores, {facts['memory_mib']} MiB memory, "
        f"{facts['disk_free_mib']} MiB disk free here",
        f"sam2's compiled extension: {'yes' if facts['sam2_compiled_extension'] else 'no'} "
        "(not needed)",
        f"checkpoints found: {', '.join(here)} (looked in {facts['checkpoint_folder']})",
        f"generated data is kept in {facts['cache_folder']}",
    ]
    return "\n".join(lines)
