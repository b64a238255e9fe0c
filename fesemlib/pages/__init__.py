"""What a reader sees: figures, tables and sentences, of arrays and tables."""
