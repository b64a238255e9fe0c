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

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
example_formulation: str = "C"
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
input_width: int = 128
padding: str = "same"
results: str = ""

# %% tags=["hide-input"]
from fesemlib import drying, figures, report
from fesemlib.dataset import load_dataset
from fesemlib.network import build_network
from fesemlib.params import Parameters
from fesemlib.processing import process_with, resize_by_area

figures.use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
report.data_banner(data, parameters)

# %% [markdown]
# ## The workflow
#
# Everything that follows is one chain. A micrograph is cleaned of its uneven background, its grey
# levels are spread over the full scale, it is shrunk to the size that the network takes, and the
# network returns one number. The figure is made by running that chain on the micrograph of one
# formulation.

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-workflow", "caption": "As Figure 1 of the paper: the workflow, drawn from this book's own pipeline. The last box holds the value that the network has to learn for this micrograph."}, "image": {"alt": "Four images of one micrograph along the processing chain, an arrow to a box for the network and an arrow to a box for the mass transfer coefficient"}}
example = data.first_image(parameters.example_formulation)
processed = process_with(parameters, data.micrographs[example].image)
network_input = (
    resize_by_area(processed.equalized, parameters.input_width) / 255
)
network = build_network(network_input.shape, parameters.padding)
workflow = figures.workflow_figure(
    processed, network_input, network, data.k_m[example]
)
report.save_figure(workflow, "figure_1", parameters)

# %% [markdown]
# ## The formulations
#
# The paper's formulations combine dextran, mannitol and polyvinylpyrrolidone (PVP). Eight of them hold
# 5 % of solids, the ninth 10 %. All were frozen at −50 °C for four hours and dried at a shelf
# temperature of −10 °C and a chamber pressure of 10 Pa.

# %% tags=["hide-input"]
table_1 = report.save_table(data.formulations, "table_1", parameters)
report.show_formulations(
    table_1,
    "composition, mass transfer coefficient, and its standard deviation over "
    "the vials with a thermocouple.",
)

# %% tags=["remove-cell"]
report.glue("number_of_formulations", len(data.formulations))
report.glue("number_of_images", len(data.micrographs))
report.glue("least_k_m", 1e3 * data.k_m.min())
report.glue("greatest_k_m", 1e3 * data.k_m.max())
report.glue("data_statement", report.data_banner(data, parameters).text)

# %% [markdown]
# The coefficients run from {glue:text}`least_k_m:.2f` to {glue:text}`greatest_k_m:.2f` (in 10⁻³ m² s⁻¹).
# Those of the paper do so unevenly: most of them lie close together, and three (A, C and I) stand apart.
# That will matter when each of them in turn has to be predicted from the others.

# %% [markdown]
# ## Where the coefficients come from
#
# No instrument reads $k_m$. It is worked out from temperatures. The shelf, at $T_f$, heats the vial,
# whose bottom a thermocouple finds at $T_p$. In primary drying this heat goes into sublimation, so
# that the vapour flux is
#
# $$J_w = \frac{k_v\,(T_f - T_p)}{\Delta H_s} \qquad \text{(paper, Eq. 1)}$$
#
# with the heat transfer coefficient $k_v$ of the vial, found by weighing vials before and after a run, and the enthalpy of
# sublimation $\Delta H_s$ {cite}`murphy2005`. The flux is driven through the dried layer, of
# thickness $L_d$, by the difference between the vapour pressure of the ice, $P(T_p)$, and the
# pressure of the chamber, $P_c$:
#
# $$k_m = J_w\,\frac{R\,T_p\,L_d}{M_w}\,\frac{1}{P(T_p) - P_c} \qquad \text{(paper, Eq. 2)}$$
#
# where $R$ is the gas constant and $M_w$ the molar mass of water.
#
# As an example, take one instant half-way through a primary drying **computed** with LyoPRONTO, an
# independent simulator, for a cake of known $k_m$ at the paper's shelf temperature and pressure.

# %%
shelf = 273.15 - 10.0  # T_f, K: the paper's set point
bottom = 273.15 - 26.982  # T_p at the bottom of the vial, K
front = 273.15 - 27.392  # T_p at the sublimation front, K
chamber = 10.0  # P_c, Pa
thickness = 0.4998 * 6.919e-3  # L_d, m: half of the ice has gone
k_v = 14.215  # W m⁻² K⁻¹
area_ratio = 3.8 / 3.14  # outer area of the vial over that of the product

flux = drying.vapour_flux(k_v, shelf, bottom, area_ratio)
k_m = drying.mass_transfer_coefficient(flux, thickness, front, chamber)
print(
    f"J_w = {3600 * flux:.3f} kg h⁻¹ m⁻²,  k_m = {1e3 * k_m:.2f}·10⁻³ m² s⁻¹"
)

# %% [markdown]
# The simulator was given 1.0·10⁻³ m² s⁻¹ at 243 K, and has correlations of its own for the ice. Two
# details decide whether one gets that back. As is usual, and in this simulator, $k_v$ refers to the
# outer area of the vial but $J_w$ to the smaller area of the product; and the thermocouple sits at the
# bottom, whereas the vapour pressure is that of the ice at the front, which is colder. The paper does
# not say how it dealt with either. Taking both equations as they stand, with one area and one
# temperature, the flux is too small, and so is $L_d$, which is the flux added up over time:

# %%
naive_flux = drying.vapour_flux(k_v, shelf, bottom)
naive_thickness = thickness * naive_flux / flux
naive_k_m = drying.mass_transfer_coefficient(
    naive_flux, naive_thickness, bottom, chamber
)
print(f"k_m = {1e3 * naive_k_m:.2f}·10⁻³ m² s⁻¹")

# %% tags=["remove-cell"]
resistance = drying.product_resistance(k_m, thickness, front)
report.glue("example_resistance", resistance / 47996)
report.glue("naive_difference", 100 * (1 - naive_k_m / k_m))

# %% [markdown]
# That is {glue:text}`naive_difference:.0f` % too low. The same $k_m$ written as the *product
# resistance* that drying models ask for, $R_p = R\,T\,L_d/(M_w\,k_m)$, is
# {glue:text}`example_resistance:.1f` cm² Torr h g⁻¹ at this thickness.
#
# Table 1's standard deviations tell how well $k_m$ is known: it differs by several percent from one
# thermocouple to the next. No prediction can be judged more finely than that. Moreover, a vial with a
# thermocouple in it cannot be imaged: the micrograph shows another vial than those in which $k_m$ was
# measured, so that the differences between vials enter every pair.

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
# ratio of throat to cell. Charging, defocus, noise and the operator's hand are put in at random,
# without regard to $k_m$. The paper reports that $k_m$ depends on composition through more than the
# size of the pores; the stand-ins know nothing of that.

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-micrographs", "caption": "The micrographs as they enter the analysis, before any processing."}, "image": {"alt": "The unprocessed micrographs in a grid, labelled by formulation"}}
raw_images = [micrograph.image for micrograph in data.micrographs]
micrographs = figures.micrographs_figure(
    raw_images, list(data.images["formulation"]), data.pixel_size_um
)
report.save_figure(micrographs, "micrographs", parameters)

# %% [markdown]
# ## In short
#
# - This data set has {glue:text}`number_of_images` images and {glue:text}`number_of_formulations` values
#   of $k_m$; such values are measured through temperatures.
# - A network that reads $k_m$ from the image would need no thermocouple in the vial.
# - Next: [what is done to the images](02_image_processing) before the network sees them.
