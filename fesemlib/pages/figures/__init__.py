"""Figures, a file a chapter."""
