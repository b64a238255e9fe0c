"""From a printed figure, in a picture or a PDF, to its panels: what `fesem figure3` takes."""
