"""Preference tuning and reward heads on TRL: the one place that knows it."""
