"""What a reader sees, of arrays and tables: figures, tables, numbers, a few statements."""
