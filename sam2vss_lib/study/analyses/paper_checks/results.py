"""From checks to the notebook's files: table, values, reading, provenance."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from sam2vss_lib.study.analyses.paper_checks.ablations import ablation_checks, best_settings
from sam2vss_lib.study.analyses.paper_checks.cells import cell_checks
from sam2vss_lib.study.analyses.paper_checks.systems import refiner_checks, segmentor_checks
from sam2vss_lib.study.results.schema import Claim
from sam2vss_lib.study.results.tables import text_table


def run_checks() -> list[Claim]:
    """All checks, in the order of the paper's tables."""
    return [*cell_checks(), *refiner_checks(), *ablation_checks(), *segmentor_checks()]


def checks_frame(checks: Sequence[Claim]) -> pd.DataFrame:
    """One line per check: `check` (from 1), `statement`, `where`, `evidence`, `verdict`, `why`."""
    columns = ["statement", "where", "evidence", "verdict", "why"]
    frame = pd.DataFrame([check.model_dump() for check in checks], columns=columns)
    frame.insert(0, "check", range(1, len(checks) + 1))
    return frame


def checks_reading(checks: Sequence[Claim]) -> str:
    """What the checks say, in a few sentences, from their verdicts alone."""
    counts = Counter(check.verdict for check in checks)
    against = [check.statement.rstrip(".") for check in checks if check.verdict == "inconsistent"]
    text = (
        f"Of {len(checks)} statements, {counts['consistent']} agree with the printed numbers, "
        f"{counts['inconsistent']} do not, and {counts['cannot tell']} cannot be settled from them."
    )
    return f"{text} Not in agreement: {'; '.join(against)}." if against else text


def checks_values(checks: Sequence[Claim]) -> dict[str, Any]:
    """The notebook's values for `result.json`."""
    best = best_settings().rename(columns=lambda name: name.replace("_", " "))
    return {
        "caption": "The paper's printed numbers against each other and against its text; nothing "
        "here was measured by this study.",
        "claims": [
            {"statement": check.statement, "verdict": check.verdict, **check.model_dump()}
            for check in checks
        ],
        "tables": [text_table("Chosen and best value of every ablated setting", best).model_dump()],
        "reading": checks_reading(checks),
        "notes": [
            "Differences of printed numbers are uncertain by 0.1 points. The paper gives no "
            "intervals and no seeds, so small differences can be compared but not judged.",
            "Typography (bold face) and the figures were not checked.",
        ],
    }
