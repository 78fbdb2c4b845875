"""Numeric tests hold on other processors, too: with fewer instructions, on one thread and on two.

Torch and oneDNN choose their kernels by what the processor can do, and sums are taken in the order
of the kernel and of the threads. Both can be told to do with less.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: what computes with torch and is compared with an oracle
NUMERIC = (
    "tests/isam2",
    "tests/masklets",
    "tests/metrics",
    "tests/segmentors",
    "tests/test_benchmarks.py",
    "tests/refinement",
)
INSTRUCTIONS = {
    "all": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse4.1": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
}


def test_the_numeric_tests_are_there() -> None:
    assert [path for path in NUMERIC if not (ROOT / path).exists()] == []


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("instructions", INSTRUCTIONS)
def test_with_fewer_instructions_and_threads(instructions: str, threads: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *NUMERIC],
        cwd=ROOT,
        env={**os.environ, **INSTRUCTIONS[instructions], "OMP_NUM_THREADS": str(threads)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
