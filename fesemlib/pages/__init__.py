"""What a reader sees, of arrays and tables: figures, tables, numbers, a few statements."""

from fesemlib.pages.report import glue, save_figure, save_table, show_table

__all__ = ["glue", "save_figure", "save_table", "show_table"]
