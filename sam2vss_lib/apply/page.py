"""`OUT/index.html`: what was changed where, in one page beside the films that it shows."""

from collections.abc import Iterator
from html import escape
from pathlib import Path
from string import Template

from sam2vss_lib.apply.clip_section import clip_section
from sam2vss_lib.apply.markup import Words, address, before_after, share, table
from sam2vss_lib.apply.run import Outcome
from sam2vss_lib.storage.files import write_text

_METRICS = {
    "mIoU": "mIoU: overlap, the mean of classes",
    "FWIoU": "FWIoU: overlap, classes weighted by size",
    "mBIoU": "mBIoU: overlap at boundaries",
    "mVC8": "mVC8: the same right label over 8 frames",
    "mVC16": "mVC16: the same over 16 frames",
}


def write_page(outcome: Outcome) -> Path:
    """Write the page, which links to films and pictures beside it and needs nothing else.

    It is laid out by the standard library alone, so that it is made where no extra is installed.
    """
    path = outcome.job.out / "index.html"
    template = Template(Path(__file__).with_name("page.html").read_text(encoding="utf-8"))
    title = escape(f"What SAM2 changed in {outcome.source.name}")
    parts = "\n".join((f"<h1>{title}</h1>", *_body(outcome)))
    write_text(path, template.substitute(title=title, body=parts))
    return path


def _body(outcome: Outcome) -> Iterator[str]:
    words = Words(outcome.class_names)
    yield from _summary(outcome, words)
    if outcome.metrics:
        yield from _measured(outcome)
    if len(outcome.clips) > 1:
        yield from _overview(outcome)
    for number, counted in enumerate(outcome.clips):
        yield from clip_section(counted, number, words, outcome.job.masklets.window)
    yield from _how(outcome)


def _summary(outcome: Outcome, words: Words) -> Iterator[str]:
    """What was done in two sentences, what is odd, and the colours."""
    job, clips = outcome.job, outcome.clips
    frames = [frame for clip in clips for frame in clip["frames"]]
    part = share(sum(f["changed"] for f in frames), sum(clip["pixels"] for clip in clips))
    base = f"predictions of {job.model}" if job.model else f"the predictions in {job.predictions}"
    in_clips = f" in {len(clips)} clips" if len(clips) > 1 else ""
    yield (
        f'<p class="lede">SAM2 ({escape(job.checkpoint)}) has refined {escape(base)} on '
        f"{len(frames)} frames{in_clips}: {part} of the pixels have another class now.</p>"
    )
    scored = [frame for frame in frames if "better" in frame]
    if moved := sum(frame["changed"] for frame in scored):
        better, worse = (sum(frame[key] for frame in scored) for key in ("better", "worse"))
        yield (
            "<p>Of the pixels that were changed on frames with ground truth, "
            f"{share(better, moved)} are right now, and {share(worse, moved)} were before.</p>"
        )
    yield from (f'<p class="note">{escape(note)}</p>' for note in outcome.notes)
    seen = sorted({label for clip in clips for move in clip["moves"] for label in move[:2]})
    items = "".join(f"<li>{words.label(label)}</li>" for label in seen)
    yield f'<ul class="legend" aria-label="colours of the classes">{items}</ul>'


def _measured(outcome: Outcome) -> Iterator[str]:
    before, after = (outcome.metrics[name] for name in ("base", "refined"))
    values: dict[str, float | None] = before["metrics"]
    rows = [
        (escape(_METRICS.get(name, name)), *before_after(value, after["metrics"][name]))
        for name, value in values.items()
    ]
    scored = before.get("annotated_frames", before["frames"])
    yield "<h2>Measured against ground truth</h2>"
    caption = f"In percent, over the {scored} frames with ground truth"
    yield table(caption, ("metric", "before", "after", "change"), rows)
    reasons = {before["notes"].get(name) for name, value in values.items() if value is None}
    yield from (f'<p class="soft">–: {escape(str(reason))}</p>' for reason in reasons)
    links = (
        f'<a href="{address("metrics", f"{name}.json")}">{name}.json</a>'
        for name in outcome.metrics
    )
    yield (
        "<p class='soft'>Intervals, other definitions, classes and clips are in "
        f"{' and '.join(links)}.</p>"
    )


def _overview(outcome: Outcome) -> Iterator[str]:
    """A line for every clip."""
    scores = [
        {line["clip"]: line["mIoU"] for line in of["per_clip"]} for of in outcome.metrics.values()
    ]
    rows = [
        (
            f'<a href="#clip-{number}">{escape(clip["clip"])}</a>',
            str(len(clip["frames"])),
            share(sum(frame["changed"] for frame in clip["frames"]), clip["pixels"]),
            *(before_after(*(of.get(clip["clip"]) for of in scores)) if scores else ()),
        )
        for number, clip in enumerate(outcome.clips)
    ]
    head = ("clip", "frames", "pixels changed")
    yield "<h2>Clips</h2>"
    scored = ("mIoU before", "after", "change") if scores else ()
    yield table("All clips", (*head, *scored), rows)


def _how(outcome: Outcome) -> Iterator[str]:
    """Plan, commands, settings and provenance."""
    yield f"<h2>How it was made</h2><pre>{escape(outcome.plan)}</pre>"
    yield "<h3>The same in single stages</h3>"
    yield "<p>These commands make the same files, and can be changed and gone on from.</p>"
    lines = "".join(f"<code>{escape(line)}</code>" for line in outcome.commands)
    yield f"<pre>{lines}</pre>"
    yield "<details><summary>Settings of masklets and refinement</summary>"
    rows = [
        (
            f"<b>{name}</b>" if value != field.default else name,
            escape(str(value)),
            escape(str(field.default)),
            escape(field.description or ""),
        )
        for settings in (outcome.job.masklets, outcome.job.refinement)
        for name, field in type(settings).model_fields.items()
        for value in [getattr(settings, name)]
    ]
    yield table(
        "Those that were changed are bold", ("setting", "value", "default", "meaning"), rows
    )
    yield "</details><details><summary>Where it comes from</summary><dl>"
    for name, value in outcome.provenance.model_dump(mode="json").items():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        said = "<br>".join(escape(f"{key} {text}".strip()) for key, text in inner)
        yield f"<dt>{escape(name.replace('_', ' '))}</dt><dd>{said or 'none'}</dd>"
    yield "</dl></details>"
