"""The run directory: one schema that is written and read through."""
