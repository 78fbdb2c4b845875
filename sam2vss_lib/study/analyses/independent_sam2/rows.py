"""Table 3: classified masklets as a segmentor (I-X), with base systems below, and their bound."""

from dataclasses import dataclass, field
from functools import partial
from statistics import fmean, stdev

from sam2vss_lib.metrics import Gain
from sam2vss_lib.study.analyses.independent_sam2.study import IndependentStudy
from sam2vss_lib.study.results.schema import Claim, Row
from sam2vss_lib.study.results.tables import gains_between, rows_not_run, table_row
from sam2vss_lib.study.results.text import number_text
from sam2vss_lib.study.results.wording import Direction, judge
from sam2vss_lib.study.settings import BaseSystem, EncoderSystem
from sam2vss_lib.study.stages.study import Evaluated

TABLE = 3


@dataclass(frozen=True)
class EncoderRun:
    """What one encoder gave."""

    system: EncoderSystem  # the encoder and its base system
    base_system: BaseSystem  # X
    reason: str = ""  # why I-X was not run; "" when it was
    base_reason: str = ""  # why X was not run; "" when it was
    base: Evaluated | None = None  # numbers of X
    alone: dict[int, Evaluated] = field(default_factory=dict)  # numbers of I-X by seed
    filled: dict[int, Evaluated] = field(default_factory=dict)  # numbers of I-X_base by seed
    bound: Evaluated | None = None  # numbers of the masklets with their true classes
    bound_filled: Evaluated | None = None  # the same with X below them

    @property
    def trained(self) -> list[tuple[str, dict[int, Evaluated], Evaluated | None]]:
        """I-X and I-X_base: label, numbers by seed, and those of their masklets' true classes."""
        return [
            (self.system.label, self.alone, self.bound),
            (self.system.filled_label, self.filled, self.bound_filled),
        ]


def encoder_runs(study: IndependentStudy) -> list[EncoderRun]:
    """Run every encoder of the settings as far as it can be run here."""
    return [_run(study, system) for system in study.independent.encoders]


def _run(study: IndependentStudy, system: EncoderSystem) -> EncoderRun:
    base_system, reason = study.base_of(system), study.why_not_encoder(system) or ""
    base_reason = study.why_not(base_system) or ""
    base = None if base_reason else study.evaluated(study.base(base_system))
    run = partial(EncoderRun, system, base_system, reason, base_reason, base)
    if reason:
        return run()
    seeds = study.independent.classifier_seeds
    made = {seed: study.alone_and_filled(system, seed, base_system) for seed in seeds}
    alone = {seed: study.evaluated(one) for seed, (one, _) in made.items()}
    filled = {seed: study.evaluated(one) for seed, (_, one) in made.items() if one is not None}
    bounding = study.bounding_encoder or system
    bound, over = study.alone_and_filled(bounding, "ground_truth", base_system)
    return run(alone, filled, study.evaluated(bound), over and study.evaluated(over))


def independent_rows(study: IndependentStudy, runs: list[EncoderRun]) -> list[Row]:
    """The rows of Table 3, trained ones with the numbers of the first seed.

    Gains are I-X over X and I-X_base over I-X.
    """
    # the row of a base system is the same with all of its encoders
    have = [*{row.name: row for run in runs for row in _rows(study, run)}.values()]
    return have + rows_not_run(TABLE, have, f"profile {study.settings.profile} has no {{row}}")


def _rows(study: IndependentStudy, run: EncoderRun) -> list[Row]:
    """X, I-X and I-X_base."""
    system, seeds = run.system, study.independent.classifier_seeds
    ran = f"{study.status}, first of {len(seeds)} seeds"
    base, alone, filled = run.base, run.alone.get(seeds[0]), run.filled.get(seeds[0])
    base_name = (run.base_system.method, run.base_system.backbone)
    name, filled_name = (system.method, system.backbone), (system.filled_method, system.backbone)
    over_base = gains_between(study.settings, base, alone)
    over_alone = gains_between(study.settings, alone, filled)
    base_status = _status(study.status, run.base_reason)
    filled_status = _status(ran, run.reason or run.base_reason)
    return [
        table_row(TABLE, *base_name, base_status, evaluated=base),
        table_row(TABLE, *name, _status(ran, run.reason), base_name, alone, over_base),
        table_row(TABLE, *filled_name, filled_status, name, filled, over_alone),
    ]


def _status(ran: str, reason: str) -> str:
    return f"not run: {reason}" if reason else ran


def spread(runs: dict[int, Evaluated], metric: str) -> tuple[float, float] | None:
    """Mean and standard deviation (n - 1) of a metric over seeds; None where it is not defined."""
    values = [run.metrics["metrics"][metric] for run in runs.values()]
    if len(values) < 2 or None in values:
        return None
    return fmean(values), stdev(values)


def independent_claims(study: IndependentStudy, runs: list[EncoderRun]) -> list[Claim]:
    """What the paper says of Table 3, judged on our numbers.

    A verdict is that of every seed; where seeds differ, the statement is undecided.
    """
    claims: list[Claim] = []
    for run in runs:
        label, base = run.system.label, run.system.base
        if run.base is not None and run.alone:
            gains = _gains_by_seed(study, dict.fromkeys(run.alone, run.base), run.alone)
            claims += [
                _judge(f"{label} lowers {metric} against {base}", metric, "lowers", gains)
                for metric in ("mIoU", "mVC8", "mVC16")
            ]
            text = f"{run.system.filled_label} raises mIoU over {label}"
            gains = _gains_by_seed(study, run.alone, run.filled)
            claims.append(_judge(text, "mIoU", "raises", gains))
    trained = [run for run in runs if run.alone]
    for run in (run for run in trained if _is_sam2(run)):
        for other in (other for other in trained if not _is_sam2(other)):
            text = f"{run.system.label} lowers mIoU against {other.system.label}"
            gains = _gains_by_seed(study, other.alone, run.alone)
            claims.append(_judge(text, "mIoU", "lowers", gains))
    return claims


def _is_sam2(run: EncoderRun) -> bool:
    return str(run.system.encoder).partition(":")[0] == "sam2"


def _gains_by_seed(
    study: IndependentStudy, before: dict[int, Evaluated], after: dict[int, Evaluated]
) -> dict[int, dict[str, Gain]]:
    return {seed: gains_between(study.settings, before[seed], after[seed]) for seed in after}


def _judge(
    statement: str, metric: str, direction: Direction, gains: dict[int, dict[str, Gain]]
) -> Claim:
    """Gain and interval of the first seed, verdict of all of them, gain of every seed in words."""
    judged = {seed: judge(statement, gain[metric], direction) for seed, gain in gains.items()}
    first, *others = judged.values()
    agreed = all(claim.verdict == first.verdict for claim in others)
    verdict = first.verdict if agreed else "undecided"
    said = ", ".join(f"seed {n}: {number_text(c.gain, sign=True)}" for n, c in judged.items())
    return first.model_copy(
        update={"verdict": verdict, "where": "Table 3, section 4.1.1", "evidence": said}
    )
