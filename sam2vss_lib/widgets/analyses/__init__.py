"""Widgets for single analyses: sweeps of a setting, and the failure atlas."""
