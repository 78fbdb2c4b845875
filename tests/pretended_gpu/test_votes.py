"""Every vote rule paints on a machine with a GPU what it paints on one without."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sam2vss_lib.fusion.arbiter import DEFAULT_COLUMNS, Arbiter, ArbiterNet
from sam2vss_lib.predictions.folder import PredictionFolder
from sam2vss_lib.refinement.refine import refine
from sam2vss_lib.refinement.registry import VOTES
from sam2vss_lib.refinement.settings import RefineSettings
from tests.fusion.common import CLASSES, Case
from tests.pretended_gpu.gpu import pretended_gpu


def painted(case: Case, out: Path, device: str, **settings: Any) -> list[np.ndarray]:
    given = RefineSettings(**settings)
    others = [replace(case.base, root=case.base.root)] if VOTES[given.vote].needs_others else []
    folder = PredictionFolder(out, CLASSES)
    refine(case.dataset, case.base, case.store, folder, given, others=others, device=device)
    return [folder.read(case.clip, i) for i in range(case.clip.num_frames)]


@pytest.mark.parametrize("vote", VOTES)
def test_a_rule_paints_the_same(tiny_vspw: Path, tmp_path: Path, vote: str) -> None:
    case, settings = Case(tiny_vspw, tmp_path, 0), {"vote": vote}
    if vote == "learned":
        network = ArbiterNet(len(DEFAULT_COLUMNS), 4).eval()
        Arbiter(DEFAULT_COLUMNS, (network,), {}).save(tmp_path / "arbiter")
        settings["arbiter"] = str(tmp_path / "arbiter")
    expected = painted(case, tmp_path / "cpu", "cpu", **settings)
    with pretended_gpu():
        found = painted(case, tmp_path / "cuda", "cuda", **settings)
    assert len(found) == len(expected) > 0
    assert all(np.array_equal(one, other) for one, other in zip(found, expected, strict=True))
