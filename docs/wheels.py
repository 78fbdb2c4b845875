"""Fills a folder with wheels for a machine without a network; `make wheels` runs it."""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection, Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]


def locked(python: str) -> dict[str, str]:
    """Pin and hashes, as a line that pip reads, of each package of the lock, by name.

    Those that the lock has for a version of Python, such as "3.12", on this system. Lines carry no
    conditions: pip would judge them by the Python that it runs on.
    """
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for block in re.split(r"\n(?=[^\s#])", "\n" + lock)[1:]:
        wanted = Requirement(block.splitlines()[0].rstrip("\\ "))
        if _applies(wanted, python):
            hashes = " ".join(re.findall(r"--hash=\S+", block))
            found[canonicalize_name(wanted.name)] = f"{wanted.name}{wanted.specifier} {hashes}"
    return found


def needed(python: str, extras: Collection[str], beside: Collection[str]) -> set[str]:
    """Names of what the package and some of its extras need, themselves and by others.

    What is installed `beside` them already is left out, with all that it alone needs. Needs are
    read from what is installed here.

    Raises:
        SystemExit: there is no such extra, or what a package needs cannot be told here.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    if unknown := {*extras} - {*project["optional-dependencies"]}:
        raise SystemExit(
            f"EXTRAS: unknown {', '.join(sorted(unknown))}; there are all, none, "
            f"{', '.join(project['optional-dependencies'])}"
        )
    lines = list(project["dependencies"])
    for extra in extras:
        lines += project["optional-dependencies"][extra]
    found, there = set[str](), {canonicalize_name(name) for name in beside}
    waiting, seen = [Requirement(line) for line in lines], set[tuple[str, str]]()
    while waiting:
        wanted = waiting.pop()
        name, asked = canonicalize_name(wanted.name), ",".join(sorted(wanted.extras))
        if name in there or (name, asked) in seen:
            continue
        seen.add((name, asked))
        found.add(name)
        try:
            requires = map(Requirement, metadata.requires(name) or [])
        except metadata.PackageNotFoundError:
            raise SystemExit(
                f"{name}: not installed here, so what it needs is unknown; use EXTRAS=all"
            ) from None
        waiting += [one for one in requires if _applies(one, python, wanted.extras)]
    return found


def _applies(wanted: Requirement, python: str, extras: Collection[str] = ()) -> bool:
    """Whether a requirement holds on a version of Python, for some extras of whose it is."""
    if wanted.marker is None:
        return True
    there = {"python_version": python, "python_full_version": f"{python}.0"}
    return any(wanted.marker.evaluate({**there, "extra": extra}) for extra in ("", *extras))


def fill(folder: Path, lines: dict[str, str], source_only: Sequence[str], python: str) -> None:
    """Put wheels of some lines of the lock, and of this package, into a folder.

    Packages published as source only are built with what is installed here.

    Raises:
        CalledProcessError: pip failed, and said why.
    """
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input")
    built = [name for name in lines if name in source_only]
    there = ("download", "--only-binary=:all:", "--python-version", python, "--dest", folder)
    here = ("wheel", "--no-build-isolation", "--wheel-dir", folder)
    with TemporaryDirectory() as temporary:
        for how, names in ((there, lines.keys() - {*built}), (here, built)):
            listed = Path(temporary) / "listed.txt"
            listed.write_text("".join(f"{lines[name]}\n" for name in sorted(names)), "utf-8")
            if names:
                command = (*pip, *how, "--no-deps", "--require-hashes", "-r", listed)
                subprocess.run(command, check=True)
    subprocess.run((*pip, *here, "--no-deps", ROOT), check=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fill the folder; returns the exit code."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default=here, help="its version there (%(default)s)")
    parser.add_argument("--extras", default="all", help="all of the lock, none, or names of extras")
    parser.add_argument("--beside", default="", help="packages that are there already")
    parser.add_argument("--source-only", default="", help="packages to be built")
    parser.add_argument("--out", type=Path, default=Path("wheels"))
    asked = parser.parse_args(arguments)
    if not re.fullmatch(r"3\.\d+", asked.python):
        parser.error(f"--python {asked.python}: give a version such as 3.12")
    lines, extras = locked(asked.python), re.split(r"[\s,]+", asked.extras)
    if extras != ["all"]:
        names = needed(asked.python, {*extras} - {"none"}, asked.beside.split())
        lines = {name: lines[name] for name in sorted(names)}
    try:
        fill(asked.out, lines, asked.source_only.split(), asked.python)
    except subprocess.CalledProcessError as error:
        return error.returncode
    size_mib = sum(path.stat().st_size for path in asked.out.glob("*.whl")) / 2**20
    print(f"{asked.out}: {len(lines) + 1} packages for Python {asked.python}, {size_mib:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
