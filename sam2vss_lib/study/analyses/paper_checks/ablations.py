"""Tables 4 to 7: the chosen value of each setting against the best one, and the trends named."""

from itertools import pairwise

import pandas as pd

from sam2vss_lib.study.analyses.paper_checks.printed import (
    ABLATION_METRICS,
    ABLATION_NAMES,
    DEFAULTS,
    Change,
    Finding,
    claim,
    gains,
    judged,
    sweep,
)
from sam2vss_lib.study.paper import paper_value
from sam2vss_lib.study.results.schema import Claim

_CONSISTENCY = ("mVC8", "mVC16")


def best_settings() -> pd.DataFrame:
    """The best value of every ablated setting by every metric, beside the one the paper chose.

    Returns:
        Columns `table`, `setting` (what is varied), `metric`, `chosen` (the paper's value of the
        setting), `at_chosen` (the metric there, percent), `best` (the value with the highest
        metric; comma-separated where several tie), `at_best` (percent), `deficit` (`at_best` minus
        `at_chosen`, points) and `range` (highest minus lowest over all values, points).
    """
    lines: list[dict[str, object]] = []
    for table, chosen in DEFAULTS.items():
        for metric in ABLATION_METRICS:
            values = sweep(table, metric)
            low, top = min(values.values()), max(values.values())
            line = {"table": table, "setting": ABLATION_NAMES[table], "metric": metric}
            line |= {"chosen": chosen, "at_chosen": values[chosen]}
            line |= {"best": ", ".join(v for v in values if values[v] == top), "at_best": top}
            deficit, spread = round(top - values[chosen], 2), round(top - low, 2)
            lines.append({**line, "deficit": deficit, "range": spread})
    return pd.DataFrame(lines)


def ablation_checks() -> list[Claim]:
    """Checks of section 4.1.2."""
    chosen = [claim(f"chosen_{table}", _chosen(table)) for table in DEFAULTS]
    window = _window_raises_consistency, _window_hardly_changes_miou, _tracking_makes_the_gain
    thresholds = _confidence_extremes, _stability_and_consistency
    return chosen + judged([*window, _grid_matters_little, *thresholds, _not_in_any_table])


def _chosen(table: int) -> Finding:
    """Best by most metrics counts as optimal only if no other value ties or wins overall."""
    best = best_settings().query("table == @table").to_dict("records")
    values = {metric: sweep(table, metric) for metric in ABLATION_METRICS}
    sums = {v: round(sum(values[m][v] for m in values), 2) for v in values["mIoU"]}
    top, chosen = max(sums.values()), DEFAULTS[table]
    ties = [v for v in sums if sums[v] == top]
    by_metric = "; ".join(
        f"{line['metric']} {line['at_best']} at {line['best']}"
        + (f" ({line['at_chosen']} at {chosen})" if line["deficit"] else "")
        for line in best
    )
    return (
        f"Best by metric: {by_metric}. Highest mean of the four: {', '.join(ties)}",
        "cannot tell" if chosen in ties and len(ties) > 1 else chosen in ties,
    )


def _window_raises_consistency() -> Finding:
    columns = {metric: list(sweep(4, metric).values()) for metric in _CONSISTENCY}
    rising = all(a < b for values in columns.values() for a, b in pairwise(values))
    evidence = "; ".join(f"{m} {', '.join(map(str, v))}" for m, v in columns.items())
    return evidence, rising


def _window_hardly_changes_miou() -> Finding:
    values = sweep(4, "mIoU").values()
    spread = round(max(values) - min(values), 2)
    return f"range over all windows {spread:.1f} points", spread <= 0.1


def _tracking_makes_the_gain() -> Finding:
    base = {m: paper_value(1, "CFFM", "MiT-B1", m) or 0.0 for m in _CONSISTENCY}
    by_window = {
        window: [Change("CFFM", m, base[m], sweep(4, m)[window]).points for m in base]
        for window in sweep(4, "mVC8")
    }
    text = "; ".join(f"{w}: {a:+.1f} / {b:+.1f}" for w, (a, b) in by_window.items())
    explained = max(by_window["1"]) <= 0 < min(by_window["32"])
    return f"mVC8 / mVC16 over unrefined CFFM MiT-B1, by window: {text}", explained


def _grid_matters_little() -> Finding:
    ranges = {m: max(sweep(5, m).values()) - min(sweep(5, m).values()) for m in ABLATION_METRICS}
    found = [c for c in gains(1, ABLATION_METRICS) if c.system == "CFFM MiT-B1"]
    least = {m: min(c.points for c in found if c.metric == m) for m in ranges}
    text = "; ".join(f"{m} {ranges[m]:.1f} (gain by refinement {least[m]:.1f})" for m in ranges)
    return f"range over grids in points: {text}", all(ranges[m] < least[m] for m in ranges)


def _confidence_extremes() -> Finding:
    values = list(sweep(6, "mIoU").values())
    peak = values.index(max(values))
    one_peak = values == [*sorted(values[:peak]), *sorted(values[peak:], reverse=True)]
    said = f"mIoU {', '.join(map(str, values))} for 0.4 to 0.9: one peak, inside the range"
    return said, one_peak and 0 < peak < len(values) - 1


def _stability_and_consistency() -> Finding:
    columns = {metric: sweep(7, metric) for metric in _CONSISTENCY}
    rises = all(a <= b for c in columns.values() for a, b in pairwise(c.values()))
    ends = "; ".join(f"{m} {c['0.4']}, {c['0.8']}, {c['0.9']}" for m, c in columns.items())
    return f"at 0.4, 0.8, 0.9: {ends}", "consistent" if rises else "cannot tell"


def _not_in_any_table() -> Finding:
    settings, metrics = ", ".join(ABLATION_NAMES.values()), ", ".join(ABLATION_METRICS)
    said = f"ablated settings: {settings}; tabulated metrics: {metrics}"
    return f"{said}; no offset and no times in any table", "cannot tell"
