"""How to obtain a published data set whose terms only a person can accept."""

from dataclasses import dataclass
from pathlib import Path

from sam2vss_lib.datasets.manifests import find_dataset_facts
from sam2vss_lib.storage.places import manifest_path


@dataclass(frozen=True)
class ObtainSteps:
    """The steps that a person has to take."""

    name: str
    out: str  # where the data set is to lie
    present: bool  # whether it lies there already
    licence: str | None  # None where its authors state none
    terms: str  # to be accepted
    citation: str
    sources: list[str]  # where to get it
    commands: list[str]  # to be run then, in this order

    def to_text(self) -> str:
        """The steps as lines to read."""
        here = "is here already" if self.present else "is not here yet: no program may fetch it"
        return "\n".join(
            [
                f"{self.out}: {self.name} {here}.",
                "",
                f"Accept: {self.terms}",
                f"Licence: {self.licence or 'none stated by the authors'}. Cite: {self.citation}",
                "",
                "Get it, into the folder above, from:",
                *(f"  {source}" for source in self.sources),
                "Then run:",
                *(f"  {command}" for command in self.commands),
            ]
        )


def how_to_obtain(name: str, out: Path) -> ObtainSteps:
    """Say how to obtain a data set, which is to lie at `out`; nothing is downloaded.

    Raises:
        SettingsError: no such data set.
    """
    facts = find_dataset_facts(name)
    conversion = facts.conversions[0].name  # such as vspw-480p
    convert = f"sam2vss data convert {conversion} {out} {out}_new  # if not yet "
    verify = f"sam2vss data verify {out} --split val --expect {name}"
    commands = [f"{convert}{conversion.split('-')[1]}; an archive will do as well"]
    if name == "vspw":
        folders = ("data",)
        verify += " --stray-labels void"
    else:
        folders = ("imgs", "images")
        split_list = manifest_path("splits/vipseg_val.txt")
        commands.insert(0, f"cp {split_list} {out}/val.txt  # if it has no split lists")
    return ObtainSteps(
        name=name,
        out=str(out),
        present=any((out / folder).is_dir() for folder in folders),
        licence=facts.licence,
        terms=facts.terms,
        citation=facts.citation,
        sources=facts.obtain,
        commands=[*commands, f"{verify} --write-manifest"],
    )
