"""Tables and sentences, a file a chapter."""
