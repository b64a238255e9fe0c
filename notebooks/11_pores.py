# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # What do the pores say?
#
# Wide and well connected pores let vapour pass; more solids, and more mannitol among them, make pores narrower: so the
# paper reads its micrographs by eye (Section 5.2). Here pores are measured.
#
# **What you will learn**
#
# - what a threshold takes for pores;
# - which measures of them follow $k_m$, and how surely;
# - what solids and mannitol have to do with it.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
example_formulation: str = "C"
processing: str = "paper"
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
results: str = ""

# %% tags=["hide-input"]
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy import stats

from fesemlib.dataset import load_dataset
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures.pores import pores_figure
from fesemlib.pages.style import drawing, plain_logarithmic, use_style
from fesemlib.params import Parameters
from fesemlib.pores import find_pores
from fesemlib.predictors.measures import composition_of

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## What is a pore?
#
# **Where do pores end?** A micrograph of a broken cake is no section: no threshold tells a shaded wall from the dark of
# a pore. What is dark *is taken for* a pore here, at two thresholds: Otsu's {cite}`otsu1979`, which parts the grey levels into two groups,
# each as uniform as can be, and the median, which takes the darker half of any frame. The background is subtracted
# first. The histogram is not equalised: a grey level would then take the same share of any frame, as it does where micrographs come equalised.
# Without a pixel size, lengths are in pixels.

# %%
micrographs = [
    replace(each, pixel_size_um=data.pixel_size_um)
    for each in data.micrographs
]
example = micrographs[data.first_image(example_formulation)]
pores = find_pores(example, parameters)

# %% mystnb={"figure": {"name": "figure-pores", "caption": "The middle of one micrograph, as recorded, with the outline of what is taken for pores at two thresholds. Below, the share of the chords, and of the area of the pores by its local thickness, that is no greater than a length."}, "image": {"alt": "One part of a micrograph twice, with coloured outlines, and below two rising curves for each threshold"}}
report.save_figure(pores_figure(example.image, pores), "pores", parameters)

# %% [markdown]
# **How to read it.** Does an outline run where you would draw it? A *chord* is how far a straight line, across or down,
# stays in a pore; the *local thickness* of a place is the diameter of the largest disc in the pore that covers it {cite}`hildebrand1997`. The
# further apart the curves of a panel, the more hangs on the threshold.
#
# ## Which measures follow $k_m$?

# %%
told = data.images.to_dict("records")
rows = []
for row, micrograph in zip(told, micrographs, strict=True):
    found = find_pores(micrograph, parameters, name=row["image"])
    rows += [
        {**row, "threshold": threshold, **each.measures}
        for threshold, each in found.items()
    ]

# %%
measured = pd.DataFrame(rows)
by = measured.groupby(["threshold", "formulation"], sort=False)
means = by.mean(numeric_only=True)
shown = [name for name in means.columns[2:] if "%" not in name]
std = data.formulations["std_percent"] / 100

# %% mystnb={"figure": {"name": "figure-pore-measures", "caption": "Measures of the pores against the mass transfer coefficient, at two thresholds; each point is a formulation, the mean over its micrographs. Bars: standard deviation of $k_m$, where it is told. The correlation length has no threshold."}, "image": {"alt": "Six small panels: porosity, mean chord, mean thickness, share in one piece, Euler number and correlation length, each against the mass transfer coefficient"}}
figure, panels = drawing(8.5, 5.4, 2, 3)
for axes, name in zip(panels.flat, shown, strict=True):
    for threshold, own in means.groupby(level="threshold", sort=False):
        own = own.droplevel("threshold")
        error = 1e3 * own["k_m"] * std[own.index]
        point = {"fmt": "o", "ms": 5, "alpha": 0.7, "label": threshold}
        axes.errorbar(1e3 * own["k_m"], own[name], xerr=error, **point)
    axes.set(ylabel=name, xlabel="k$_m$ (10$^{-3}$ m² s$^{-1}$)")
    plain_logarithmic(axes, "x", (1, 2, 5))
panels[0, 0].legend()
report.save_figure(figure, "pore_measures", parameters)

# %%
otsu = means.loc["otsu"].sort_values("k_m", ascending=False)
report.show_table(
    otsu[["k_m", *shown]].assign(k_m=1e3 * otsu["k_m"]),
    "Otsu's threshold: k_m in 10⁻³ m² s⁻¹ and measures of the pores",
    dict.fromkeys(["k_m", *shown], numbers.three_digits),
    narrow=True,
)

# %% [markdown]
# **How to read it.** The *porosity* is that of the picture; at the median it is about one half, whatever the sample. *Share in
# one piece* is that of the largest connected piece in the area of all pores: near one, one can go from almost any pore to any other without crossing a wall; near zero, pores are
# islands. The darker the picture, the more pores touch, and a small frame cuts them off: compare like with like. *Euler number*: pieces less the holes in them; negative, pores form a net.
#
# **Is it more than chance?** The correlation of each measure with the logarithm of $k_m$, and its extremes when
# one formulation is left out:


# %%
def correlations(table: pd.DataFrame) -> pd.Series:
    return table[shown].corrwith(np.log(table["k_m"]))


summary = {}
for threshold, own in means.groupby(level="threshold", sort=False):
    without = pd.DataFrame(
        [correlations(own.drop(each)) for each in own.index]
    )
    summary[threshold, "all"] = correlations(own)
    summary[threshold, "lowest"] = without.min()
    summary[threshold, "highest"] = without.max()

# %%
report.show_table(
    pd.DataFrame(summary),
    "Correlation of each measure with the logarithm of k_m: of all "
    "formulations, and the extremes when one is left out",
    dict.fromkeys(summary, "{:.2f}"),
)

# %% tags=["remove-cell"]
report.save_table(measured, "pores", parameters)
number = len(data.formulations)
quantile = stats.t.ppf(0.975, number - 2)
report.glue(
    formulations=number,
    by_chance=quantile / np.sqrt(number - 2 + quantile**2),
)

# %% [markdown]
# **How to read it.** Among {glue:text}`formulations:d` formulations, one in twenty unrelated measures correlates
# beyond ±{glue:text}`by_chance:.2f`; several were tried. A correlation that leaving one formulation out takes away was
# made by that one; so was one whose range comes near zero.
#
# ## Solids and mannitol
#
# **Do the paper's series show?** Where compositions are told, they stand by what goes with the commonest solute: in
# the paper, mannitol with PVP, with dextran, and alone, at more solids.

# %%
content, series = composition_of(data), pd.DataFrame()
shared = (content > 0).sum()
if shared.max() > 2:
    commonest = shared.idxmax()
    rest = content.drop(columns=commonest)
    series["with"] = [
        " + ".join(rest.columns[row > 0]) or "—" for _, row in rest.iterrows()
    ]
    series.index = content.index
    series[f"{commonest} (mass %)"] = content[commonest]
    series["solids (mass %)"] = content.sum(axis=1)

# %%
columns = [name for name in shown if name.startswith(("mean", "share"))]
if len(series):
    series = series.sort_values(list(series)).join(1e3 * otsu[["k_m"]])
    series = series.join(otsu[columns])

# %%
report.show_table(
    series,
    "Series of compositions, Otsu's threshold; k_m in 10⁻³ m² s⁻¹",
    dict.fromkeys(series.columns[1:], numbers.three_digits),
    narrow=True,
    texts=list(series.columns[:2]),
) if len(series) else None

# %% [markdown]
# **How to read it.** Going down a series, do pores narrow and part, while $k_m$ falls? Are they finest where there are most solids?
# Stand-ins are drawn with these solids and the width that follows from $k_m$; anything else is chance, or follows the width.
#
# For a folder of your own:
#
# ```sh
# .venv/bin/fesem pores batch_7 --csv pores.csv --report pores.html
# ```
#
# ## What was shown
#
# - A threshold decides what is a pore; what both thresholds show is worth more.
# - Lengths of pores can be compared with $k_m$; with few formulations, a single one may make the correlation.
# - How pores connect in a picture is not how they connect in a cake.
