"""The settings of notebooks, and the profiles that set them; importing them loads no torch."""

from sam2vss_lib.study.settings.notebook_cells import (
    notebook_settings,
    quick_start_settings,
    settings_without_data,
)
from sam2vss_lib.study.settings.profiles import load_profile, profile_notebooks
from sam2vss_lib.study.settings.quick_start import QuickStartSettings
from sam2vss_lib.study.settings.study_settings import (
    BeyondSettings,
    IndependentSettings,
    NotebookSettings,
    StudySettings,
    make_settings,
)
from sam2vss_lib.study.settings.systems import BaseSystem, EncoderSystem, OtherData
from sam2vss_lib.study.settings.tables import settings_table

__all__ = [
    "BaseSystem",
    "BeyondSettings",
    "EncoderSystem",
    "IndependentSettings",
    "NotebookSettings",
    "OtherData",
    "QuickStartSettings",
    "StudySettings",
    "load_profile",
    "make_settings",
    "notebook_settings",
    "profile_notebooks",
    "quick_start_settings",
    "settings_table",
    "settings_without_data",
]
