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
# # The data set
#
# A vial on the shelf of a freeze-dryer loses its ice from the top. The vapour has to leave through
# the pores of the layer that is already dry, and how easily it does so is one number: the **mass
# transfer coefficient** $k_m$. The wider and better connected the pores, the larger $k_m$ and the
# faster, and colder, the product dries.
#
# The paper {cite}`marcato2025` pairs nine micrographs of dried cakes, one for each formulation, with
# nine values of $k_m$ measured by {cite:t}`grassini2016`. This page shows where the $k_m$ come
# from, and what the micrographs used here look like.
#
# **What you will learn**
#
# - what $k_m$ is, and how a drying run with a thermocouple gives it;
# - which two details of that calculation change it, and how well it is known;
# - which formulations and micrographs this book works with, and what the composition alone tells of $k_m$.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
example_formulation: str = "C"
drying_run: str = ""  # or the path of a record
heat_transfer_coefficient: float = 14.2  # or from_end_of_drying
end_of_drying: str = "auto"  # or hours, temperatures, pirani
area_ratio: float = 1.21
ice_thickness_mm: float = 7.0
solids_percent: float = 5.0
front_correction: bool = True
temperature_uncertainty_k: float = 0.5
heat_transfer_uncertainty_percent: float = 5.0
pressure_uncertainty_percent: float = 2.0
area_ratio_uncertainty_percent: float = 2.0
ice_thickness_uncertainty_percent: float = 3.0
unfrozen_water: float = 0.3
processing: str = "paper"
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
input_width: int = 128
padding: str = "same"
results: str = ""

# %% tags=["hide-input"]
import numpy as np

from fesemlib.dataset import load_dataset
from fesemlib.drying.calibration import calibrate, vial_of
from fesemlib.drying.coefficients import (
    STEADY,
    label_run,
    worth_of_corrections,
)
from fesemlib.drying.equations import CLASSIC_RESISTANCE
from fesemlib.drying.records import read_drying_run
from fesemlib.drying.resistance import cost_of_one_number, fit_resistance
from fesemlib.drying.uncertainty import (
    DRAWS,
    spread_of_offsets,
    uncertainty_budget,
    uncertainty_of_k_v,
)
from fesemlib.evaluation import baselines, published
from fesemlib.formulations import table1
from fesemlib.network.architecture import number_of_weights
from fesemlib.network.inputs import shrunk_input
from fesemlib.pages import report, statements
from fesemlib.pages.figures import micrographs as figures
from fesemlib.pages.figures.drying import depth_figure, drying_run_figure
from fesemlib.pages.style import formulation_looks, use_style
from fesemlib.pages.tables import data as tables
from fesemlib.pages.tables import drying as drying_report
from fesemlib.params import Parameters
from fesemlib.processing import process_with
from fesemlib.validation.errors import relative_error

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# ## The workflow
#
# Everything that follows is one chain. A micrograph is cleaned of its uneven background, its grey
# levels are spread over the full scale, it is shrunk to the size that the network takes, and the
# network returns one number. The figure is made by running that chain on the micrograph of one
# formulation.

# %%
example = data.first_image(parameters.example_formulation)
processed = process_with(parameters, data.micrographs[example].image)
seen = shrunk_input(processed.equalized, parameters.input_width)
weights = number_of_weights(seen.shape, parameters.padding)

# %% mystnb={"figure": {"name": "figure-workflow", "caption": "As Figure 1 of the paper: the workflow, drawn from this book's own pipeline and the micrograph of one formulation. The last box holds the value that the network has to learn for this micrograph."}, "image": {"alt": "Four images of one micrograph along the processing chain, an arrow to a box for the network and an arrow to a box for the mass transfer coefficient"}}
workflow = figures.workflow_figure(
    processed, seen, weights, data.k_m[example], data.synthetic
)
report.save_figure(workflow, "figure_1", parameters)

# %% [markdown]
# ## The formulations
#
# The paper's formulations combine dextran, mannitol and polyvinylpyrrolidone (PVP). Eight of them hold
# 5 % of solids, the ninth 10 %. All were frozen at −50 °C for four hours and dried at a shelf
# temperature of −10 °C and a chamber pressure of 10 Pa.

# %%
table_1 = report.save_table(data.formulations, "table_1", parameters)
tables.show_formulations(table_1)

# %% tags=["remove-cell"]
report.glue(
    number_of_formulations=len(data.formulations),
    number_of_images=len(data.micrographs),
    least_k_m=1e3 * data.k_m.min(),
    greatest_k_m=1e3 * data.k_m.max(),
    data_statement=statements.data_banner(data, parameters).text,
)

# %% [markdown]
# The coefficients run from {glue:text}`least_k_m:.2f` to {glue:text}`greatest_k_m:.2f` (in 10⁻³ m² s⁻¹).
# Those of the paper do so unevenly: most of them lie close together, and three (A, C and I) stand apart.
# A value that stands apart is hard to predict from the others when it is held out.

# %% [markdown]
# ## What the composition tells
#
# This section is about Table 1 of the paper, whatever the data of this run. The paper says (Section 5.2) that,
# at the same content of solids, less mannitol goes with wider pores and a larger $k_m$. Table 1 has two
# series in which mannitol takes the place of another solute, dextran or PVP: the figure shows each of them as a line,
# to be followed from left to right.

# %% mystnb={"figure": {"name": "figure-composition", "caption": "$k_m$ of Table 1 of the paper against the content of mannitol, whatever the data of this run. The bars are the standard deviations of the table."}, "image": {"alt": "The nine mass transfer coefficients of the paper over the content of mannitol: the series with dextran falls, the series with PVP is level, formulation I lies far below both"}}
paper = table1()
composition = figures.composition_figure(paper)
report.save_figure(composition, "composition", parameters)

# %% [markdown]
# How far does a straight line in the content of mannitol lead? It is fitted anew, to the others, for each
# formulation that is left out.

# %%
mannitol, k_m = paper[["mannitol"]].to_numpy(), paper["k_m"]
line_k_m = baselines.linear_on_others(mannitol, k_m.to_numpy(), paper.index)
line_errors = relative_error(line_k_m, k_m)
print(f"mean error of the line: {100 * line_errors.mean():.1f} %")

# %% tags=["remove-cell"]
dextran_k_m = 1e3 * paper[paper["dextran"] > 0].sort_values("mannitol")["k_m"]
pvp = paper[paper["PVP"] > 0]
report.glue(
    dextran_first=dextran_k_m.iloc[0],
    dextran_last=dextran_k_m.iloc[-1],
    pvp_range=100 * (pvp["k_m"].max() / pvp["k_m"].min() - 1),
    pvp_least_std=pvp["std_percent"].min(),
    line_error=100 * line_errors.mean(),
    published_error=100 * published.table2()["augmented"].mean(),
)

# %% [markdown]
# In Table 1 the series with dextran does what the paper says: with every step of mannitol $k_m$ falls, from
# {glue:text}`dextran_first:.1f` to {glue:text}`dextran_last:.1f` (in 10⁻³ m² s⁻¹). The series with PVP does not: its
# $k_m$ lie within {glue:text}`pvp_range:.1f` % of each other, less than any of their standard
# deviations, of which the least is {glue:text}`pvp_least_std:.1f` %. In both series the other solute becomes less
# as mannitol becomes more, and I, of mannitol alone, has twice the solids: Table 1 cannot tell which of them $k_m$ follows.
#
# Even so, the straight line in the content of mannitol errs by {glue:text}`line_error:.1f` % on average on
# Table 1. The paper's network, with the augmented set, errs by
# {glue:text}`published_error:.1f` % on the same nine. The line needs no micrograph, but mannitol is the component
# that the paper names, and others do worse: it is what a network that sees a micrograph has to beat. [*What the numbers mean*](07_evaluation.ipynb) goes on from here, with the data of this run.

# %% [markdown]
# ## Where the coefficients come from
#
# No instrument reads $k_m$. It is worked out from temperatures. The shelf, at $T_f$, heats the vial,
# whose bottom a thermocouple finds at $T_p$. In primary drying this heat goes into sublimation, so
# that the vapour flux is
#
# $$J_w = \frac{k_v\,(T_f - T_p)}{\Delta H_s} \qquad \text{(paper, Eq. 1)}$$
#
# with the heat transfer coefficient $k_v$ of the vial, found by weighing vials before and after a run or from the end of
# drying (see below), and the enthalpy of
# sublimation $\Delta H_s$ {cite}`murphy2005`. The flux is driven through the dried layer, of
# thickness $L_d$, by the difference between the vapour pressure of the ice, $P(T_p)$, and the
# pressure of the chamber, $P_c$:
#
# $$k_m = J_w\,\frac{R\,T_p\,L_d}{M_w}\,\frac{1}{P(T_p) - P_c} \qquad \text{(paper, Eq. 2)}$$
#
# where $R$ is the gas constant and $M_w$ the molar mass of water.
#
# ### A drying run
#
# A record of a run holds the time, the temperatures of the shelf and of one or more products, and the
# pressure of the chamber. If the parameter `drying_run` names such a file, it is read here
# ([what it has to look like](../book/drying_runs.md)). Otherwise a model of primary drying
# makes one: heat passes through the vial and the frozen layer to the sublimation front, vapour through the
# dried layer into the chamber, and the heat that warms the ice itself is neglected. It is given the $k_m$ of a
# formulation of Table 1, in two more vials one standard deviation less and more, and noise is added to the temperatures.
# That its $k_m$ comes out again says that the method is consistent, and nothing about a real product. The record
# read here: {glue:text}`drying_source`. Everything below sees only the file.
#
# The vials take up heat with $k_v$ = {glue:text}`k_v:.1f` W m⁻² K⁻¹, which holds
# for one kind of vial, one place on the shelf and one pressure, through an outer area that is {glue:text}`area_ratio:.2f` times that of the product; the frozen layer is
# {glue:text}`ice_thickness:.1f` mm thick, and ice fills {glue:text}`ice_share:.1f` % of it.
#
# Eq. (1) gives the flux at every instant. Added up over time, and divided by the density of the ice
# and its share of the layer, it is the thickness $L_d$ that Eq. (2) needs. In the **steady part**,
# from {glue:text}`steady_start:.0f` to {glue:text}`steady_end:.0f` % dried and with shelf and chamber at their set points, $k_m$ should not change:
# its mean there is the value of a thermocouple.

# %%
run = read_drying_run(drying_report.drying_record(parameters))
vial = vial_of(parameters, run)
calibration = calibrate(run, vial, parameters.end_of_drying)
calibrated = calibration if parameters.calibrates else None
own = calibrated.of_vials if calibrated else None
labels = label_run(run, vial, parameters.front_correction, own)
report.save_table(labels.thermocouples, "drying_labels", parameters)
drying_report.show_thermocouples(labels)

# %% [markdown]
# The last row is what Table 1 holds of a formulation: the mean over the thermocouples and their standard deviation; of a
# single one there is none. In the figure, $k_m$ should be level where it is drawn dark: a slope there may come from a cake that changes with
# depth (see the end of this section), or from a wrong $k_v$; a fall, from a thermocouple that has lost the ice.
#
# - Set right in the record: {glue:text}`drying_remarks`
# - What speaks against this $k_m$: {glue:text}`drying_doubts`

# %% mystnb={"figure": {"name": "figure-drying-run", "caption": "Temperatures of a primary drying, and the mass transfer coefficient worked out at every instant. Pale: what lies outside the steady part."}, "image": {"alt": "Two diagrams over time: the temperatures of the shelf, the thermocouples and the sublimation front; and the mass transfer coefficient of each thermocouple, pale outside the steady part"}}
report.save_figure(drying_run_figure(labels), "drying_run", parameters)

# %% [markdown]
# Drying models ask for the *product resistance*
# $R_p = R\,T\,L_d/(M_w\,k_m)$ instead, which grows with the dried layer: in the steady part from
# {glue:text}`least_resistance:.1f` to {glue:text}`greatest_resistance:.1f` cm² Torr h g⁻¹.
#
# ### The end of drying tells $k_v$
#
# By Eq. (1) the ice that has sublimed is proportional to $k_v$, and by the end it is all of the ice. So the time at which the ice was gone
# gives $k_v$. A record may show that time twice: each thermocouple rises from the ice to the shelf, and a Pirani gauge, which reads
# vapour too high, falls to the capacitance gauge {cite}`patel2010`. The ice is gone at some time of that rise or fall: the end is taken
# halfway, and its uncertainty is that of any time between its beginning and its end.

# %%
report.save_table(calibration.ends, "drying_ends", parameters)
drying_report.show_ends(calibration)

# %% [markdown]
# From this, the median $k_v$ is {glue:text}`calibrated_k_v` W m⁻² K⁻¹, known to {glue:text}`calibrated_uncertainty` % with the uncertainties
# of the ice's thickness and of the sensors; above, {glue:text}`k_v:.1f` is used. Since $k_m$ goes nearly with its square, a $k_v$ that was not measured for these vials
# at this pressure may be the greatest error of a coefficient. Set `heat_transfer_coefficient: from_end_of_drying` to take that of the record, for each thermocouple its
# own where it shows its end. It is as good as the thickness of the ice, to which it is proportional: a $k_v$ outside 5 to
# 40 W m⁻² K⁻¹ says that the thickness or the end is wrong. The two ends need not agree. The gauge tells the end of the last vials, a
# thermocouple that of its own, which often dries sooner; where it comes *later* than the gauge's, the gauge is to be believed.
#
# ### Two details
#
# The equations leave two things open. As is usual, $k_v$ refers to the outer area of the vial but
# $J_w$ to the smaller area of the product: the flux of Eq. (1) has to be multiplied by the ratio of the two,
# $A_v/A_p$. And the thermocouple sits at the bottom, whereas the vapour pressure of Eq. (2) is that of the ice at
# the front, which is colder by the difference that drives the heat through the frozen layer. The paper
# does not say how it dealt with either. What are they worth?

# %%
corrections = worth_of_corrections(run, vial, calibrated is not None)
drying_report.show_corrections(corrections)

# %% [markdown]
# Leaving the area ratio out changes $k_m$ by {glue:text}`area_ratio_worth:.1f` %, leaving the front temperature out by
# {glue:text}`front_worth:.1f` %. The area counts twice: where the flux is too small, so is the
# thickness. With a $k_v$ from the end of drying it does not count at all: only the product of both enters, and the ice gives that.
#
# ### How well a coefficient is known
#
# Whatever is wrong with $k_v$, a sensor or the gauge stays wrong throughout a run and does not average
# out. To see what it does to $k_m$, these inputs are drawn anew, {glue:text}`draws:.0f` times, and $k_m$ is worked out from each draw: from normal
# distributions about their values, and the water that does not freeze evenly between none and the most. The widths are assumed, but for that of a $k_v$ from the end of drying.

# %%
budget = uncertainty_budget(labels, parameters, vial, calibrated)
drying_report.show_uncertainty(budget, labels)

# %% tags=["remove-cell"]
known, k_v = calibration.source != "", calibration.heat_transfer_coefficient
k_v_percent = uncertainty_of_k_v(parameters, calibration)
resistance = labels.instants["resistance"][labels.instants["steady"]]
stated = table1()["std_percent"]
computed = f"computed for formulation {drying_report.computed_formulation(parameters)}"
report.glue(
    drying_source=run.name if parameters.drying_run else computed,
    drying_remarks=" ".join(run.remarks) or "nothing.",
    drying_doubts=" ".join(labels.doubts) or "nothing that the record shows.",
    k_v=vial.heat_transfer_coefficient,
    calibrated_k_v=f"{k_v:.1f}" if known else "unknown",
    calibrated_uncertainty=f"{k_v_percent:.1f}" if known else "unknown",
    area_ratio=vial.area_ratio,
    ice_thickness=1e3 * vial.ice_thickness,
    ice_share=100 * vial.porosity,
    steady_start=100 * STEADY[0],
    steady_end=100 * STEADY[1],
    least_resistance=resistance.min() / CLASSIC_RESISTANCE,
    greatest_resistance=resistance.max() / CLASSIC_RESISTANCE,
    area_ratio_worth=100 * abs(corrections["difference"]["area ratio"]),
    front_worth=100 * abs(corrections["difference"]["front temperature"]),
    draws=DRAWS,
    k_m_uncertainty=budget["percent"]["all together"],
    offsets_spread=spread_of_offsets(labels, parameters, vial),
    temperature_uncertainty=parameters.temperature_uncertainty_k,
    table_1_least_std=stated.min(),
    table_1_greatest_std=stated.max(),
)

# %% [markdown]
# Together they make {glue:text}`k_m_uncertainty:.0f` % for one thermocouple. That is not to be compared with a standard deviation over
# thermocouples, which in Table 1 of the paper runs from {glue:text}`table_1_least_std:.1f` to
# {glue:text}`table_1_greatest_std:.1f` %: it shows how vials and sensors differ within a run; an error that all of them share, such as one
# of $k_v$, does not show in it. Independent offsets of {glue:text}`temperature_uncertainty:.2g` K alone would make a spread of
# {glue:text}`offsets_spread:.1f` % over the thermocouples. Where they differ by less than that, their
# offsets were smaller, or the same for all, as after calibration in one bath.
#
# What all formulations share, such as an error of $k_v$, is a common factor of all $k_m$. Relative errors
# of leave-one-out do not notice it; it bounds what a predicted $k_m$ is worth for drying. What differs from one formulation to the
# next bounds how finely a prediction can be judged. And a vial with a thermocouple in it cannot be imaged: the
# micrograph shows another vial than those in which $k_m$ was measured, so that differences between vials
# enter every pair. Not all of that is scatter. The paper warns that a probe may alter how its vial freezes; if
# vials with a probe nucleate earlier, and have wider pores, every $k_m$ is too large for the vial in the picture, and
# no average takes that away.
#
# ### One number, or a law?
#
# Eq. (2) has one $k_m$ for the whole layer. In many cakes the resistance grows less than the thickness, so that $k_m$ rises as the layer
# grows. The field describes it by
#
# $$R_p = R_0 + \frac{A_1 L_d}{1 + A_2 L_d},$$
#
# which is fitted here to all thermocouples together. Temperatures do not tell $k_v$: a larger one with a smaller resistance gives nearly the same. So $k_v$ is fitted beside
# the law, but held within its uncertainty, and stays where it was.

# %%
told = parameters.heat_transfer_uncertainty_percent
k_v_known = uncertainty_of_k_v(parameters, calibrated) if calibrated else told
fit = fit_resistance(
    labels, vial, k_v_known, parameters.front_correction, own
)
cost = cost_of_one_number(labels, fit)
drying_report.show_cost(cost)

# %% mystnb={"figure": {"name": "figure-depth", "caption": "The mass transfer coefficient as the dried layer grows: from the readings (pale: outside the steady part), from the law of R<sub>p</sub>, and the mean that is the label."}, "image": {"alt": "Curves of the mass transfer coefficient against the thickness of the dried layer, one for each thermocouple, a dashed line for the fitted law and a dotted one for the mean"}}
report.save_figure(depth_figure(labels, fit), "k_m_of_depth", parameters)

# %% tags=["remove-cell"]
first, last = cost.index
depths = vial.ice_thickness * np.array(STEADY)
at_start, at_end = depths / fit.law(depths)
report.glue(
    law_at_start=fit.law.at_start / CLASSIC_RESISTANCE,
    law_slope=fit.law.slope / CLASSIC_RESISTANCE / 100,
    law_bend=fit.law.bend / 100,
    fit_deviation=fit.deviation_k,
    rise_with_depth=at_end / at_start,
    cost_in_time=round(
        100 * (cost["time"][last] / cost["time"][first] - 1), 1
    )
    + 0.0,
    cost_in_kelvin=round(
        cost["warmest_front"][last] - cost["warmest_front"][first], 1
    )
    + 0.0,
)

# %% [markdown]
# By the fit, $R_0$ is {glue:text}`law_at_start:.2f` cm² Torr h g⁻¹, $A_1$ {glue:text}`law_slope:.1f` cm Torr h g⁻¹ and $A_2$ {glue:text}`law_bend:.2f` cm⁻¹. They
# stand and fall with $k_v$: one that is 1 % larger makes $R_0$ and $A_2$ smaller by 1 % and $A_1$ by 2 %. The temperatures deviate from the law by {glue:text}`fit_deviation:.2f` K, most of which is how vials differ. Over the steady part $k_m$ changes by a factor of
# {glue:text}`rise_with_depth:.2f`. One number for all depths changes the drying time by {glue:text}`cost_in_time:+.1f` % and the warmest front by
# {glue:text}`cost_in_kelvin:+.1f` K. The computed run was made with one number: there the factor should be near 1, and both changes near 0. Anyone who plans a cycle near the collapse temperature should take the law;
# a label for a micrograph has to be one number.

# %% [markdown]
# ## The micrographs
#
# The paper's micrographs show the middle of a cut cake at a magnification of 200, 2 mm × 1.5 mm on
# 2048 × 1536 pixels. They are hard to read by machine for three reasons: the dry cake does not
# conduct, so that the electron beam charges it and leaves a dark patch; the cut is rough, so that
# only part of it, mostly the middle, is in focus; and the operator sets brightness and contrast by
# hand, anew for every sample.
#
# Unless other micrographs are given, this book renders stand-ins from a random foam of thin walls between
# interconnected cells. The width of the throats between the cells follows from $k_m$ by Knudsen's
# law of rarefied flow,
#
# $$k_m = \frac{\varepsilon}{\tau}\,\frac{d}{3}\,\sqrt{\frac{8RT}{\pi M_w}},$$
#
# with the width $d$ of the throats, the temperature $T$, the porosity $\varepsilon$ left by the solids, an assumed tortuosity $\tau$, and an assumed
# ratio of throat to cell. That is the law of straight tubes; [a walk of molecules](10_stand_ins.ipynb)
# through the foam gives another $k_m$, and `synthetic_labels: geometry` takes that one. Charging, defocus, noise and the operator's hand are put in at random,
# without regard to $k_m$. The paper reports that $k_m$ depends on composition through more than the
# size of the pores; the stand-ins know nothing of that.

# %% mystnb={"figure": {"name": "figure-micrographs", "caption": "The micrographs as they enter the analysis, before any processing by this book; of more than a dozen nine examples, from the greatest $k_m$ to the least."}, "image": {"alt": "The unprocessed micrographs in a grid, labelled by formulation"}}
images = [micrograph.image for micrograph in data.micrographs]
names = list(data.images["formulation"])
micrographs = figures.micrographs_figure(
    images, names, data.pixel_size_um, formulation_looks(names), data.k_m
)
report.save_figure(micrographs, "micrographs", parameters)

# %% [markdown]
# ## What was shown
#
# - This data set has {glue:text}`number_of_images` images and {glue:text}`number_of_formulations` values
#   of $k_m$; such values are worked out from temperatures.
# - In Table 1 of the paper, $k_m$ falls with the content of mannitol beside dextran, but not beside PVP.
# - With the uncertainties assumed here, the value of one thermocouple is known to about
#   {glue:text}`k_m_uncertainty:.0f` %.
# - A network that reads $k_m$ from the image would need no thermocouple in the vial.
# - Next: [what is done to the images](02_image_processing.ipynb) before the network sees them.
