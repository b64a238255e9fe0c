"""What a table shows, for the tests of tables."""

import pandas as pd
from pandas.io.formats.style import Styler


def written(table: Styler) -> pd.DataFrame:
    """The texts of its cells as they stand on the page, under the names of the table's data."""
    shown = table.data
    lines = table.to_string(delimiter="\t").splitlines()
    rows = [line.split("\t") for line in lines if line.strip()][-len(shown) :]
    texts = [row[shown.index.nlevels :] for row in rows]
    return pd.DataFrame(texts, index=shown.index, columns=shown.columns)
