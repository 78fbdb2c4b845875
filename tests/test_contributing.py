"""What the documents for contributors name is there: files, folders, and names in modules."""

import pkgutil
import re
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("CONTRIBUTING.md", "docs/architecture.md", "README.md")
#: first parts of paths that a run makes, or that are a reader's own, and of names on the hub
ELSEWHERE = {
    *(
        "results",
        "runs",
        "data",
        "predictions",
        "weights",
        "DATA",
        "base",
        "refined",
        "masklets",
        "earlier",
        "films",
        "first_film",
        "metrics",
    ),
    *("imgs", "images", "panomasks", "pan_pred", ".venv", "~", "..."),
}
RECIPES = (
    "A notebook or table", "A metric", "A base model", "A vote rule", "A masklet engine",
    "A figure", "The report page", "Scheduling", "A data set", "Provenance",
)  # fmt: skip
NAMED = re.compile(r"([\w/]+\.py): ([\w., ]+)")


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def in_backticks(text: str) -> list[str]:
    """What stands in backticks in the prose and tables of a document, code blocks left out."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def paths_in(text: str) -> Iterator[str]:
    """Paths of this repository in backticks, and targets of links, with `{a,b}` taken apart."""
    spans = [span.split(": ")[0] for span in in_backticks(text)]
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    for path in (*spans, *links):
        is_file = re.fullmatch(r"[A-Z]+\.md|[a-z]+\.(toml|yml|lock)", path)
        if " " in path or path[0] in "<-/" or not (is_file or "/" in path):
            continue
        if path.split("/")[0] in ELSEWHERE:
            continue
        parts = re.split(r"\{([^}]*)\}", path)
        choices = [part.split(",") if i % 2 else [part] for i, part in enumerate(parts)]
        yield from ("".join(chosen) for chosen in product(*choices))


def is_there(path: str) -> bool:
    """Whether a path exists; a trailing slash says that it is a folder, `<name>` is any name."""
    pattern = re.sub(r"<\w+>", "*", path)
    found = [p for p in ROOT.glob(pattern.rstrip("/")) if p.is_dir() or not path.endswith("/")]
    return bool(found)


def resolves(module: str, name: str) -> bool:
    dotted = module.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    try:
        pkgutil.resolve_name(f"{dotted}:{name}")
    except (ImportError, AttributeError):
        return False
    return True


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_exists(document: str):
    paths = list(paths_in(read(document)))
    assert len(paths) >= 6
    assert [path for path in paths if not is_there(path)] == []


@pytest.mark.parametrize("document", DOCUMENTS[:2])
def test_every_name_exists_in_its_module(document: str):
    spans = in_backticks(read(document))
    found = [match.groups() for span in spans if (match := NAMED.fullmatch(span))]
    named = [(module, name) for module, names in found for name in names.split(", ")]
    assert len(named) >= 10
    assert [pair for pair in named if not resolves(*pair)] == []
    dotted = [span for span in spans if re.fullmatch(r"sam2vss_lib(\.\w+)+", span)]
    for span in dotted:
        assert pkgutil.resolve_name(span) is not None


def test_what_is_gone_would_be_noticed():
    text = "`sam2vss_lib/gone.py` `tests/{cli,gone}/` [x](docs/gone.md) `results/x` `gone.toml`"
    gone = [path for path in paths_in(text) if not is_there(path)]
    assert gone == ["sam2vss_lib/gone.py", "tests/gone/", "gone.toml", "docs/gone.md"]
    assert not is_there("README.md/")
    assert not resolves("sam2vss_lib/metrics/iou.py", "Gone")
    assert resolves("sam2vss_lib/metrics/iou.py", "RegionOverlap.count")


def test_all_ten_recipes_are_there():
    page = read("CONTRIBUTING.md")
    changes = page.partition("## Ten changes")[2].partition("\n## ")[0]
    headings = re.findall(r"^### (.+)$", changes, flags=re.MULTILINE)
    assert tuple(headings) == RECIPES
    recipes = re.split(r"^### .+$", changes, flags=re.MULTILINE)[1:]
    assert all("`sam2vss_lib/" in recipe for recipe in recipes)


def test_the_tree_of_the_readme_exists():
    tree = read("README.md").partition("## What is where")[2].split("```")[1]
    named = re.findall(r"^( *)([\w/]+/) ", tree, flags=re.MULTILINE)
    assert len(named) > 10
    bases = {0: ROOT, 2: ROOT / "sam2vss_lib"}
    assert [path for indent, path in named if not (bases[len(indent)] / path).is_dir()] == []


def test_floors_of_the_document_are_those_of_the_contract():
    lines = re.findall(r"^\| \d+ \| ([^|]+) \|", read("docs/architecture.md"), flags=re.MULTILINE)
    project = tomllib.loads(read("pyproject.toml"))
    (contract,) = (c for c in project["tool"]["importlinter"]["contracts"] if c["id"] == "floors")
    layers = [{room.strip() for room in layer.split("|")} for layer in contract["layers"]]
    assert [{*re.findall(r"`(\w+)`", line)} for line in lines] == layers


def test_pages_are_short():
    lines = {page: len(read(page).splitlines()) for page in DOCUMENTS[:2]}
    assert lines["CONTRIBUTING.md"] <= 150
    assert lines["docs/architecture.md"] <= 200
