"""The page: well-formed, readable by screen readers, self-contained, and true."""

import json
import shlex
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from sam2vss_lib.apply.charts import timeline
from sam2vss_lib.apply.markup import share
from sam2vss_lib.cli import app

VOID_ELEMENTS = {"meta", "img", "br"}


class Page(HTMLParser):
    """Elements with their attributes, texts of some, and whether all are closed."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(path.read_text(encoding="utf-8"))
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID_ELEMENTS:
            self.open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        for tag in {*self.open}:
            self.texts[tag][-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def page(applied: Path) -> Page:
    return Page(applied / "index.html")


def test_every_link_leads_to_a_file_beside_it(page: Page, applied: Path) -> None:
    links = [
        value
        for _, attributes in page.found
        for name, value in attributes.items()
        if name in ("href", "src", "poster") and value is not None
    ]
    assert len(links) > 10
    for link in links:
        if not link.startswith("#"):
            assert (applied / unquote(link)).is_file(), link
    assert page.all("script") == page.all("link") == []


def test_screen_readers_are_told_everything(page: Page) -> None:
    headings = [int(tag[1]) for tag, _ in page.found if tag in ("h1", "h2", "h3")]
    assert headings.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(headings))
    assert all(image["alt"] for image in page.all("img"))
    assert all(video["aria-label"] for video in page.all("video"))
    charts = [svg for svg in page.all("svg") if "aria-hidden" not in svg]
    assert len(charts) == 1
    assert page.texts["title"][-1].startswith("share of changed pixels")
    assert len(page.all("caption")) == len(page.all("table"))
    assert page.all("html") == [{"lang": "en"}]


def test_it_says_what_the_metrics_say(page: Page, applied: Path) -> None:
    before, after = (
        json.loads((applied / "metrics" / f"{name}.json").read_text())["metrics"]["mIoU"]
        for name in ("base", "refined")
    )
    row = next(text for text in page.texts["tr"] if text.startswith("mIoU"))
    assert row.endswith(f"{before:.2f}{after:.2f}{after - before:+.2f}")


def test_its_commands_make_the_same_files(page: Page, applied: Path, tmp_path: Path) -> None:
    lines = [line for line in page.texts["code"] if line.startswith("sam2vss ")]
    assert [line.split()[1] for line in lines] == [
        "masklets", "segment", "refine", "evaluate", "evaluate",
    ]  # fmt: skip
    out = tmp_path / "by hand"
    for line in lines:
        words = [word.replace(str(applied), str(out)) for word in shlex.split(line)[1:]]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
    names = [
        path.relative_to(out)
        for path in out.rglob("*")
        if path.is_file() and path.suffix in (".png", ".npz")
    ]
    assert len(names) == 2 * 6 + 2
    for name in names:
        assert (out / name).read_bytes() == (applied / name).read_bytes(), name
    for name in ("base", "refined"):
        ours, theirs = (
            json.loads((folder / "metrics" / f"{name}.json").read_text())
            for folder in (applied, out)
        )
        moved = {
            key.replace(str(out), str(applied)): value
            for key, value in theirs["provenance"]["predictions_sha256"].items()
        }
        theirs["provenance"]["predictions_sha256"] = moved
        assert ours == theirs


def test_shares_are_as_exact_as_is_of_use() -> None:
    shown = [share(part, 1000) for part in (0, 0.01, 0.1, 1, 12.34, 123.4, 999.99)]
    shown = [text.replace("\N{NO-BREAK SPACE}", " ") for text in shown]
    assert shown == ["0 %", "< 0.01 %", "0.01 %", "0.1 %", "1.2 %", "12 %", "100 %"]


def test_a_timeline_is_bounded_and_adds_up() -> None:
    names = [f"{i:08d}" for i in range(2000)]
    drawn = timeline({"changed": [0.03] * 2000}, names, 32, "a < b")
    assert len(drawn) < 40_000
    assert "<title>a &lt; b</title>" in drawn
    assert ">5 %<" in drawn
    assert ">00001999<" in drawn
