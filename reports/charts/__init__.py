"""Figures, each one Altair specification, as SVG and PNG."""
