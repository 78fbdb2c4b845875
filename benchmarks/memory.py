"""Peak memory of the masklet stage on clips of several lengths, each in a fresh process."""

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.inputs import repeated_clip
from benchmarks.windows import into_new_store
from sam2vss_lib.masklets.sam2 import load_sam2
from sam2vss_lib.masklets.settings import MaskletSettings
from sam2vss_lib.study.analyses.cost_analysis.benchmarks import Comparison

_SETTINGS = MaskletSettings(
    window=16, points_per_side=2, pred_iou_thresh=0.05, stability_score_thresh=0.05
)
_ROOT = Path(__file__).resolve().parents[1]


def run(*, quick: bool) -> Iterator[Comparison]:
    """Maximum of resident memory, the interpreter and torch included, beside 64 frames'."""
    first = None
    for frames in (64, 256) if quick else (64, 256, 1024):
        facts = peak_of(frames)
        first = first or facts["peak_mib"]
        yield Comparison(
            "memory",
            "demo, 120 x 160 px, windows of 16",
            "64 frames",
            "MiB",
            facts["peak_mib"],
            first,
            first / facts["peak_mib"],
            objects=facts["masklets"],
            frames=frames,
            object_frames=facts["object_frames"],
            image_encodings=frames + -(-frames // _SETTINGS.window),
            ours_peak_mib=facts["peak_mib"],
            baseline_peak_mib=first,
            target="within 10 % of 64 frames" if frames == 1024 else "",
            met=facts["peak_mib"] <= 1.1 * first if frames == 1024 else None,
        )


def peak_of(frames: int) -> dict[str, Any]:
    """Peak memory of a clip of `frames` frames, and the number of its masklets and rows."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", str(frames)],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


def main() -> None:
    """What `peak_of` runs in a process of its own."""
    with repeated_clip(int(sys.argv[1])) as dataset:
        found = into_new_store(dataset, load_sam2("demo"), _SETTINGS)
    facts = {"masklets": found.masklets, "object_frames": found.object_frames}
    json.dump({"peak_mib": own_peak_mib(), **facts}, sys.stdout)


def own_peak_mib() -> float:
    """Most memory that this process has had resident."""
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # not ru_maxrss: on Linux that starts from the peak of the process that started this one
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (kib,) = (line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kib) / 2**10


if __name__ == "__main__":
    main()
