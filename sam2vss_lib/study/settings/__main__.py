"""`python -m sam2vss_lib.study.settings` prints `docs/settings.md`; `make docs` writes it."""

from sam2vss_lib.study.settings.tables import settings_docs

print(settings_docs(), end="")
