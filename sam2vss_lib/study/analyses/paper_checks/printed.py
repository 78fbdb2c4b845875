"""Printed cells and their differences, without the noise of binary fractions."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import yaml

from sam2vss_lib.storage.places import manifest_path
from sam2vss_lib.study.paper import PAPER_METRICS, paper_refinements, paper_rows, paper_value
from sam2vss_lib.study.results.schema import Claim, Verdict
from sam2vss_lib.study.results.text import range_text

DEFAULTS = {4: "32", 5: "16x16", 6: "0.6", 7: "0.8"}
ABLATION_NAMES = {4: "window", 5: "point grid", 6: "confidence", 7: "stability"}
ABLATION_METRICS = ("mIoU", "FWIoU", "mVC8", "mVC16")
#: the computed values in words, and a verdict: whether they agree with what is claimed
Finding = tuple[str, bool | Verdict]


def judged(checks: Iterable[Callable[[], Finding]]) -> list[Claim]:
    """Claims of `data_manifests/paper_claims.yaml`, judged by the checks that bear their names."""
    return [claim(check.__name__.strip("_"), check()) for check in checks]


def claim(name: str, finding: Finding) -> Claim:
    """One claim of that file, with what was found about it."""
    evidence, agrees = finding
    verdict = agrees if isinstance(agrees, str) else "consistent" if agrees else "inconsistent"
    return Claim(**_words()[name], evidence=evidence, verdict=verdict)


@lru_cache
def _words() -> Any:
    """Statement, place in the paper and explanation of every claim, by its name."""
    return yaml.safe_load(manifest_path("paper_claims.yaml").read_text(encoding="utf-8"))


class Change(NamedTuple):
    """One metric of one system before and after."""

    system: str  # such as CFFM MiT-B0
    metric: str  # such as mBIoU
    before: float  # as printed
    after: float  # as printed

    @property
    def points(self) -> float:
        """After minus before."""
        return round(self.after - self.before, 2)

    @property
    def percent(self) -> float:
        """After minus before, as a percentage of before."""
        return round(100 * (self.after - self.before) / self.before, 1)


def changes(
    table: int, before: tuple[str, str], after: tuple[str, str], metrics: Iterable[str]
) -> list[Change]:
    """Changes between two rows of a table, of the metrics that both have."""
    return [
        Change(" ".join(before).strip(), metric, start, end)
        for metric in metrics
        if (start := paper_value(table, *before, metric)) is not None
        and (end := paper_value(table, *after, metric)) is not None
    ]


def gains(table: int, metrics: Iterable[str] = PAPER_METRICS) -> list[Change]:
    """All gains by refinement that a table allows."""
    metrics = list(metrics)
    return [c for pair in paper_refinements(table) for c in changes(table, *pair, metrics)]


def sweep(table: int, metric: str) -> dict[str, float]:
    """A column of Tables 4 to 7: setting -> value, in printed order."""
    return {
        setting: value
        for setting, _ in paper_rows(table)
        if (value := paper_value(table, setting, "", metric)) is not None
    }


def in_points(found: Iterable[Change]) -> str:
    """Smallest to largest change, with signs."""
    return range_text(change.points for change in found)


def all_rise(found: Iterable[Change]) -> bool:
    """Whether every metric is higher afterwards."""
    return all(change.points > 0 for change in found)
