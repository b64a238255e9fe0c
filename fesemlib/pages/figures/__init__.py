"""Figures, in files that follow the parts of the book."""
