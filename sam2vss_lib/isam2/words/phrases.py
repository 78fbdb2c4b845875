"""Which phrases stand for each class: its own name, or those of a file."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from sam2vss_lib.datasets.faults import FileFault
from sam2vss_lib.datasets.labels import check_num_classes
from sam2vss_lib.errors import SettingsError

_HINT = 'write {"class name": ["phrase", "other phrase"], ...} in JSON or YAML'

#: phrases of each class by its name, label 0 first
Phrases = dict[str, tuple[str, ...]]


def class_phrases(names: Sequence[str] | None, file: Path | None) -> Phrases:
    """The phrases of every class.

    Args:
        names: the data set's classes; None where it has no list, whose classes are then those of
            the file, in its order.
        file: a JSON or YAML object of class names, and lists of phrases each of which means the
            class. Neither case nor space around a name counts; a class that it leaves out keeps its
            name as its phrase.

    Raises:
        DataError: the file cannot be read, or names a class that the data set does not have.
        SettingsError: there are neither names nor a file.
    """
    given = {} if file is None else read_phrases(file)
    if names is None:
        if file is None:
            raise SettingsError(
                "--phrases: the data set has no class list; give a file of classes and phrases"
            )
        check_num_classes(len(given))
        return given
    own = {_plain(name): name for name in names}
    if strange := [name for name in given if _plain(name) not in own]:
        problem = f"{strange[0]!r} is no class of the data set"
        raise FileFault(Path(str(file)), problem, f"its classes are {', '.join(names)}")
    known = {own[_plain(name)]: phrases for name, phrases in given.items()}
    return {name: known.get(name, (_spoken(name),)) for name in names}


def read_phrases(path: Path) -> Phrases:
    """A file of phrases by class, checked.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    try:
        content: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFault(path, f"not readable ({error.strerror})", "give another file") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise FileFault(path, "is neither JSON nor YAML", _HINT) from None
    if not isinstance(content, dict) or not content:
        raise FileFault(path, "is no object of classes and phrases", _HINT)
    found: Phrases = {}
    for name, phrases in content.items():
        said = [phrases] if isinstance(phrases, str) else phrases
        if not isinstance(name, str):
            raise FileFault(path, f"the class {name!r} is no text", "put it in quotes")
        if not isinstance(said, list) or not said:
            raise FileFault(path, f"the phrases of {name!r} are {phrases!r}", _HINT)
        for phrase in said:
            if not isinstance(phrase, str) or not phrase.strip():
                raise FileFault(path, f"a phrase of {name!r} is {phrase!r}", _HINT)
        if any(_plain(name) == _plain(other) for other in found):
            raise FileFault(path, f"has {name!r} twice", "put all of its phrases into one list")
        found[name] = tuple(phrase.strip() for phrase in said)
    return found


def _plain(name: str) -> str:
    return name.strip().casefold()


def _spoken(name: str) -> str:
    return name.replace("_", " ").strip()
