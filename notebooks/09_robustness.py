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
# # What the network looks at
#
# A network that reads the size of the pores should look everywhere, say the same of any frame of a cake, and
# not care how the micrograph was taken. This chapter asks the trained networks: where in the image
# does the prediction come from, is one frame enough, and does the prediction survive the imaging?
#
# **What you will learn**
#
# - which places of a micrograph decide the prediction;
# - whether several frames of one cake are better than one;
# - which faults of the imaging move a prediction as much as another formulation does.

# %% tags=["parameters"]
dataset: str = "synthetic"  # or the path of a manifest
synthetic_seed: int = 0
synthetic_width: int = 1024
crop: str = "auto"
check_pixel_size: bool = True
rescale: bool = False
background_radius_px: float = 50.0
light_background: bool = True
smooth_background: bool = True
equalization: str = "classic"
input_width: int = 128
padding: str = "same"
dropout_rate: float = 0.5
dropout_position: str = "flatten"
initializer: str = "glorot_uniform"
head: str = "flatten"
input_scaling: str = "unit"
limit_first_step: bool = False
target: str = "minmax"
epochs: int = 1200
learning_rate: float = 1.0e-4
learning_rate_schedule: str = "constant"
batch_size: int = 16
training_criterion: float = 0.05
longer_training: int = 4
first_seed: int = 0
number_of_seeds: int = 1
evaluation_width: int = 96
evaluation_seeds: int = 1
averaging_learning_rate: float = 3.0e-3
averaging_epochs: int = 60
fresh_frames: int = 1
windows_per_side: int = 2
imaging_strengths: int = 1
parallel_jobs: int = 0
scheduler: str = ""
results: str = ""

# %% tags=["hide-input"]
from fesemlib.dataset import load_dataset
from fesemlib.evaluation import controls
from fesemlib.evaluation import frames as windows
from fesemlib.evaluation import imaging as robustness
from fesemlib.evaluation import occlusion as attention
from fesemlib.network.inputs import network_inputs
from fesemlib.pages import report, statements
from fesemlib.pages.figures import robustness as figures
from fesemlib.pages.style import formulation_looks, use_style
from fesemlib.pages.tables import data as tables
from fesemlib.pages.tables import robustness as answers
from fesemlib.params import Parameters

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# The networks are those of [leave one formulation out](04_loocv_baseline.ipynb), original set, first seed. Each predicts the
# formulation that it has not seen. {glue:text}`collapsed_answer` Beside them stand the networks that
# **average their feature maps** ([What the numbers mean](07_evaluation.ipynb)), which cannot tell one place of the frame
# from another.

# %% tags=["hide-input"]
averaging = controls.averaging_parameters(parameters)
networks = attention.held_out_networks(data, parameters)
averaging_networks = attention.held_out_networks(data, averaging)

# %% tags=["remove-cell"]
inputs = network_inputs(data, parameters)
collapsed = attention.collapsed_networks(networks, inputs, data.k_m)
report.glue("collapsed_answer", answers.collapsed_answer(collapsed))

# %% tags=["remove-input"]
tables.resolution(data, parameters)

# %% [markdown]
# ## Where does the network look?
#
# **Where in the micrograph does the prediction come from?** A square patch, a sixth of the shorter side, moves over the
# input by half its side and hides what is below {cite:p}`zeiler2014`. Where that changes the prediction,
# the network has looked. The patch is mid-grey; a second map takes the mean of all inputs in its place,
# since any patch is a structure of its own.

# %% tags=["hide-input"]
maps = attention.held_out_maps(data, parameters, networks)
map_statistics = attention.map_statistics(maps)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-occlusion", "caption": "Occlusion maps over the inputs of the networks that have not seen the formulation, the greatest $k_m$ first: by how much the predicted $k_m$ changes when the place is hidden by mid-grey. All maps share one scale."}, "image": {"alt": "Processed micrographs with coloured maps of where hiding a patch raises or lowers the predicted k_m"}}
looks = formulation_looks(data.formulations.index)
maps_figure = figures.maps_figure(maps, looks)
report.save_figure(maps_figure, "occlusion", parameters)

# %% tags=["hide-input"]
answers.show_maps(map_statistics)

# %% tags=["remove-cell"]
report.save_table(map_statistics, "occlusion", parameters)
maps_answer = answers.maps_answer(map_statistics)
report.glue("maps_answer", maps_answer)
report.glue("maps_shown", report.first_sentence(maps_answer))

# %% [markdown]
# **In short:** {glue:text}`maps_answer`
#
# ### A picture on which the answer is known
#
# **Does the map, and does the prediction, single out a patch of finer pores?** Into the coarsest micrograph, a patch of the
# finest is pasted before the processing, with the brightness and the contrast of what it replaces. For comparison the same
# place is filled with the micrograph's own texture from elsewhere. Of one predictor the right answer
# is known: a straight line through the **detail** of the inputs, the mean squared difference of neighbouring pixels,
# gives each place the weight of its share of the detail.

# %% tags=["hide-input"]
coarse, fine, pictures = attention.pasted_patches(data, parameters)
detail = attention.detail_model(inputs, data.k_m)

# %% tags=["hide-input"]
width = parameters.input_width
readers = {
    "paper's network": (networks[coarse].predict, width),
    "network with averaged maps": (
        averaging_networks[coarse].predict,
        averaging.input_width,
    ),
    "linear in detail": (detail, width),
}

# %% tags=["hide-input"]
found = attention.find_patches(pictures, readers)

# %% tags=["remove-input"]
answers.pasted_banner(data, coarse, fine)

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-pasted", "caption": "A coarse micrograph with a patch of finer pores pasted in (outlined), and its occlusion maps by three predictors, each on a scale of its own."}, "image": {"alt": "A coarse micrograph with an outlined patch of finer pores, and three maps of it"}}
pasted_figure = figures.pasted_figure(
    attention.pasted_maps(pictures[0], readers)
)
report.save_figure(pasted_figure, "pasted_patch", parameters)

# %% tags=["hide-input"]
answers.show_pasted(found)

# %% tags=["remove-cell"]
report.save_table(found, "pasted_patch", parameters)
k_m = data.formulations["k_m"]
report.glue(
    "pasted_answer",
    answers.pasted_answer(found, k_m[fine] / k_m[coarse]),
)

# %% [markdown]
# **In short:** {glue:text}`pasted_answer`
#
# Finer pores need not have more detail in the *input*: where they are narrower than its pixels, they average out,
# and the patch is smoother than what surrounds it. Nor does the processing keep the brightness of the patch as it was: the
# background is subtracted place by place.
#
# ## Is one frame enough?
#
# **Would more images of the same formulation mend the error?** If predictions of several frames scatter about the truth,
# their mean is better than each; what they have in common stays. The frames of a formulation are its
# micrographs. Of stand-ins, fresh ones are made with the same $k_m$ and solids: they are synthetic, as the others
# are. Flips and a rotation by 180° show the same frame, so that their scatter is the network's alone.

# %% tags=["hide-input"]
frames_name, frames = windows.frame_predictions(data, parameters, networks)
sources = {
    windows.FLIPS: windows.flipped_predictions(data, parameters, networks),
    frames_name: frames,
}

# %% [markdown]
# A frame can also be cut up. Then each network sees a smaller field, and that more finely: it has to be
# trained on such **windows**, all of a formulation being held out together. Each of these trainings, on whole frames too, ends
# when the mean error on what it is trained on is {glue:text}`criterion:g` %, or after
# {glue:text}`longer_training` times as many epochs as those of the chapters before.

# %% tags=["hide-input"]
small_parameters = controls.evaluation_parameters(parameters)
scales = windows.window_scales(
    data.shape, small_parameters.input_width, parameters.windows_per_side
)
by_scale = {
    scale.name: windows.window_predictions(data, small_parameters, scale)
    for scale in scales
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-frames", "caption": "Left: predictions of several images of each formulation by the network that has not seen it, beside the true $k_m$. Right: mean relative error of the average of so many images. Flips and frames are read by the networks with the input of the other chapters, windows and whole frames by networks with a smaller one: compare within either kind."}, "image": {"alt": "Dots of predicted k_m beside the true ones, and lines of the error against the number of images averaged"}}
frames_figure = figures.combination_figure(
    frames, list(data.formulations.index), {**sources, **by_scale}
)
report.save_figure(frames_figure, "frames", parameters)

# %% tags=["hide-input"]
compared_sources = windows.compare_sources(sources)
answers.show_sources(compared_sources)

# %% tags=["hide-input"]
compared_scales = windows.compare_sources(by_scale)
answers.show_scales(compared_scales, scales, data.pixel_size_um)

# %% tags=["remove-cell"]
report.save_table(compared_sources, "frames", parameters)
report.save_table(compared_scales, "windows", parameters)
report.glue(
    "frames_answer", answers.frames_answer(compared_sources, frames_name)
)
report.glue("scales_answer", answers.scales_answer(compared_scales))
report.glue("evaluation_width", small_parameters.input_width)
report.glue("criterion", 100 * parameters.training_criterion)
report.glue("longer_training", parameters.longer_training)

# %% [markdown]
# **In short:** {glue:text}`frames_answer` {glue:text}`scales_answer` (Networks on windows: input of
# {glue:text}`evaluation_width` px.)
#
# ## Does it survive the imaging?
#
# **How far does the prediction move when the same cake is imaged differently?** Each held-out micrograph is degraded *before*
# it is processed, then processed and predicted as usual. Where a shift or a rotation leaves the frame empty, it goes on as
# its mirror image. The yardstick is an exchange: what the same network makes of the micrographs of the other
# formulations, on which it was trained. A change as large as that looks like another cake.

# %% tags=["hide-input"]
imaged_by = {
    "paper's network": robustness.Reader(networks, width),
    "averaged maps": robustness.Reader(
        averaging_networks, averaging.input_width
    ),
}
degraded = robustness.degraded_predictions(data, parameters, imaged_by)
exchanged = {
    name: robustness.exchanged_changes(data, parameters, reader).mean()
    for name, reader in imaged_by.items()
}

# %% tags=["hide-input"] mystnb={"figure": {"name": "figure-imaging", "caption": "Change of the predicted $k_m$ of the held-out micrographs by how they were imaged: mean of the absolute change over the formulations, and each formulation for the paper's network. Dashed: the mean change when the micrograph is exchanged for that of another formulation. The vertical axis is linear below 1 %, logarithmic above; strengths are set side by side, whatever their size."}, "image": {"alt": "Seven small panels with the change of the prediction against brightness, contrast, defocus, noise, charging, shift and rotation"}}
imaging_figure = figures.imaging_figure(degraded, exchanged)
report.save_figure(imaging_figure, "imaging", parameters)

# %% tags=["hide-input"]
imaging = answers.imaging_table(degraded)
answers.show_imaging(imaging)

# %% [markdown]
# Two of them the processing is meant to remove: an offset of the brightness, which the background shares, and a
# change of contrast, which keeps the order of the grey levels and thus the equalised histogram. On a micrograph
# of half the contrast, so that nothing saturates at black or white:

# %% tags=["hide-input"]
first = data.micrographs[0].image
removed = robustness.processing_changes(first, parameters)
answers.show_processing(removed)

# %% tags=["remove-cell"]
report.save_table(degraded, "imaging", parameters)
clean = degraded[degraded["reader"] == "paper's network"]
clean_error = (clean["clean_km"] / clean["true_km"] - 1).abs().mean()
report.glue("processing_answer", answers.processing_answer(removed))
report.glue(
    "imaging_answer",
    answers.imaging_answer(
        imaging, exchanged["paper's network"], clean_error
    ),
)

# %% tags=["remove-cell"]
strongest = robustness.DEGRADATIONS["defocus"].strengths[-1]
contrasts = []
for sigma in (0, strongest):
    blurred = robustness.degraded_inputs(
        data, parameters, "defocus", sigma, [width]
    )
    contrasts.append(blurred[width].std(axis=(1, 2)).mean())
report.glue("contrast_answer", answers.contrast_answer(*contrasts))

# %% [markdown]
# {glue:text}`processing_answer` In the figure the strongest offsets do saturate.
# {glue:text}`contrast_answer`
#
# **In short:** {glue:text}`imaging_answer`
#
# ## What was shown
#
# - {glue:text}`maps_shown`
# - A map shows what a prediction depends on; whether it should is another question.
# - Averaging takes scatter away, not what all frames of a formulation have in common.
# - Compare every change with what another formulation's micrograph does: what reads nothing survives everything.
