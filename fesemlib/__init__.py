"""Mass transfer coefficients of freeze-dried products, read from FESEM micrographs.

The package behind the notebooks of the book, in rooms. Each imports only from those below it:

- ``command``: what a terminal asks for, the command ``fesem`` and the book that it builds;
- ``pages``: what a reader sees, figures, tables, numbers and statements;
- ``prediction``: one new micrograph → k_m;
- ``evaluation``: what the leave-one-out numbers mean;
- ``predictors``: what tells k_m of a micrograph, one interface, and the choice among them;
- ``validation``: leave one formulation out → one tidy table, and Table 2;
- ``network``: the paper's network and its training;
- ``texture``: an image → numbers that describe its texture;
- ``dataset``: micrographs with their k_m;
- ``synthetic``: stand-ins;
- ``panels``: a printed figure → its panels;
- ``micrographs``: files → `Micrograph`;
- ``processing``: images in, images out: background, histogram, size;
- ``drying``: drying runs ↔ k_m;
- ``formulations``: Table 1, manifests;
- ``spreadsheets``: tables as instruments and spreadsheets save them: text, XLSX;
- ``params``: every parameter;
- ``storage``, ``progress``: files and digests; messages to whoever waits.

The paper's own path, to be read in an hour: ``params`` → ``formulations``, ``micrographs`` →
``dataset`` → ``processing`` → ``network`` → ``validation`` → Table 2.

Importing the package loads none of them: reading a micrograph never waits for TensorFlow.
"""
