"""The one form in which a bad file is reported: which file, what is wrong, what to do."""

from pathlib import Path

from sam2vss_lib.errors import DataError

LIKELY_CUT_SHORT = "likely an interrupted download or copy: fetch the file again"


class FileFault(DataError):
    """A bad or missing file, kept in parts so that a report can list many of them.

    The problem is said in a few words, the hint is the likely cause or the fix. All three parts are
    passed on to `Exception`, so that the error survives pickling between worker processes.
    """

    def __init__(self, file: Path | str, problem: str, hint: str) -> None:
        super().__init__(str(file), problem, hint)
        self.file, self.problem, self.hint = str(file), problem, hint

    def __str__(self) -> str:
        """One line: `file: problem; hint`, with control characters escaped."""
        line = f"{self.file}: {self.problem}; {self.hint}"
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)


def read_bytes(path: Path | str) -> bytes:
    """The bytes of a file, of which there must be at least one.

    Raises:
        DataError: missing, not readable or of 0 bytes.
    """
    try:
        with open(path, "rb") as stream:
            data = stream.read()
    except FileNotFoundError:
        raise FileFault(path, "no such file", "check the folder, or make the file again") from None
    except OSError as error:
        raise FileFault(path, f"not readable ({error.strerror})", "check the file") from None
    if not data:
        raise FileFault(path, "empty file (0 bytes)", LIKELY_CUT_SHORT)
    return data
