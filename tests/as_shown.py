"""What a reader sees of a table."""

import pandas as pd
from pandas.io.formats.style import Styler


def as_shown(table: Styler) -> pd.DataFrame:
    """The texts of its cells, under its labels."""
    rows, columns = table.data.shape
    lines = table.to_string(delimiter="\t").splitlines()[-rows:]
    cells = [line.split("\t")[-columns:] for line in lines]
    return pd.DataFrame(cells, table.data.index, table.data.columns)
