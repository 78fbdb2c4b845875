"""What is said about a table: the paper's claims judged, its caption, our reading of it."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from sam2vss_lib.datasets import GENERATED
from sam2vss_lib.datasets.class_names import read_class_names
from sam2vss_lib.datasets.manifests import load_datasets_manifest
from sam2vss_lib.metrics import Gain
from sam2vss_lib.storage.places import manifest_path
from sam2vss_lib.study.paper import paper_rows
from sam2vss_lib.study.results.schema import Claim, Coverage, Row, Verdict
from sam2vss_lib.study.stages import Study

Direction = Literal["raises", "lowers", "does not lower", "hardly changes"]
SMALL_POINTS = 0.5  # "hardly changes": the paper calls differences up to this negligible (Tab. 5)
#: metric -> whether the paper says that refinement raises it, or only that it keeps it
_REFINEMENT: dict[str, Direction] = {
    "mIoU": "does not lower",
    "mBIoU": "raises",
    "mVC8": "raises",
    "mVC16": "raises",
}


def refinement_claims(rows: list[Row]) -> list[Claim]:
    """Judge every refined row that was run against what the paper says of refinement."""
    return [
        judge(f"{row.label} {direction} {metric}", row.gains[metric], direction)
        for row in rows
        for metric, direction in _REFINEMENT.items()
        if metric in row.gains
    ]


def judge(statement: str, gain: Gain, direction: Direction) -> Claim:
    """Hold a statement about the direction of a gain against its interval.

    `holds` and `does not hold` need an interval on one side of zero; for "does not lower" a gain
    that is not below zero is enough, and "hardly changes" needs an interval within `SMALL_POINTS`
    of zero, or one wholly outside to fail.
    """
    verdict = _verdict(gain, direction)
    return Claim(statement=statement, gain=gain.gain, low=gain.low, high=gain.high, verdict=verdict)


def _verdict(gain: Gain, direction: Direction) -> Verdict:
    if gain.gain is None or gain.low is None or gain.high is None:
        return "undecided"
    low, high = gain.low, gain.high
    if direction == "hardly changes":
        if low >= -SMALL_POINTS and high <= SMALL_POINTS:
            return "holds"
        return "does not hold" if low > SMALL_POINTS or high < -SMALL_POINTS else "undecided"
    if direction == "lowers":
        low, high = -high, -low
    if high < 0:
        return "does not hold"
    if direction == "does not lower":
        return "holds" if gain.gain >= 0 else "undecided"
    return "holds" if low > 0 else "undecided"


#: what the tables of the paper are about
_PAPER_DATA = {table: "VIPSeg" if table == 2 else "VSPW" for table in range(1, 8)}


def comparable_with_paper(study: Study, table: int) -> bool:
    """Whether numbers may be read beside the paper's: all clips of its val, with its classes."""
    covered = coverage(study, table)
    return study.dataset.split == "val" and covered.clips == covered.paper_clips


def coverage(study: Study, table: int) -> Coverage:
    """On how much of the paper's data the numbers of a table are."""
    facts = load_datasets_manifest()[_PAPER_DATA[table].lower()]
    names = read_class_names(manifest_path(facts.class_names))
    return Coverage(
        demo=study.settings.dataset in GENERATED,
        clips=len(study.dataset),
        paper_clips=facts.splits["val"].clips if study.dataset.class_names == names else None,
    )


def caption(study: Study, table: int, what: str = "as a refiner") -> str:
    """Caption of a table: what was measured on what, and whether the paper's numbers compare."""
    settings, dataset = study.settings, study.dataset
    demo = settings.dataset in GENERATED
    data = f"the generated clips of {settings.dataset}" if demo else dataset.root.name
    clips = f"{dataset.split}, {len(dataset)} clips; percent."
    text = f"SAM2 ({study.sam2.name}) {what} on {data}, {clips}"
    if comparable_with_paper(study, table):
        return text
    whole = f"the whole of {_PAPER_DATA[table]} val"
    return f"{text} This is not {whole}: not comparable with the paper's numbers."


def result_values(
    study: Study, table: int, rows: Sequence[Row], claims: Sequence[Claim], text: str
) -> dict[str, Any]:
    """A notebook's values for `result.json`; `text` is its caption."""
    return {
        "table": table,
        "caption": text,
        "comparable_with_paper": comparable_with_paper(study, table),
        "coverage": coverage(study, table).model_dump(),
        "rows": [row.model_dump() for row in rows],
        "claims": [claim.model_dump(exclude_unset=True) for claim in claims],
        "reading": reading(table, rows, claims),
    }


def reading(table: int, rows: Sequence[Row], claims: Sequence[Claim]) -> str:
    """Our reading of the result in a few sentences of Markdown, from the numbers alone."""
    run = [row for row in rows if row.evaluated is not None]
    if not claims:
        return f"{len(run)} rows were run, none of them comparable: nothing to judge."
    counts = Counter(claim.verdict for claim in claims)
    sentences = [
        f"Of {len(claims)} statements, {counts['holds']} hold, "
        f"{counts['does not hold']} do not hold and {counts['undecided']} are undecided."
    ]
    if failed := [claim.statement for claim in claims if claim.verdict == "does not hold"]:
        sentences.append(f"Against the paper's direction: {'; '.join(failed)}.")
    if gains := [(claim.gain, claim.statement) for claim in claims if claim.gain is not None]:
        largest, statement = max(gains, key=lambda gain: gain[0])
        sentences.append(f"The largest gain is {largest:+.1f} points: {statement}.")
    printed = {*paper_rows(table)}
    if missing := sum(r.evaluated is None and r.printed_name in printed for r in rows):
        sentences.append(f"{missing} rows of the paper's table were not run; the table says why.")
    return " ".join(sentences)
