"""What a terminal asks for: the command `fesem`, and the book that it builds."""
