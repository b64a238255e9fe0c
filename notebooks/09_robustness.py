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
processing: str = "paper"
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
from fesemlib.evaluation import frames, imaging, occlusion
from fesemlib.network.inputs import network_inputs
from fesemlib.pages import numbers, report, statements
from fesemlib.pages.figures import robustness as figures
from fesemlib.pages.style import formulation_looks, use_style
from fesemlib.pages.tables import robustness as tables
from fesemlib.params import Parameters
from fesemlib.predictors.networks import (
    averaging_parameters,
    evaluation_parameters,
)
from fesemlib.validation.leave_one_out import held_out_networks

use_style()
parameters = Parameters.from_namespace(globals())
data = load_dataset(parameters)
statements.data_banner(data, parameters)

# %% [markdown]
# The networks are those of [leave one formulation out](04_loocv_baseline.ipynb), original set, first seed. Each predicts the
# formulation that it has not seen. Beside them stand the networks that
# **average their feature maps** ([What the numbers mean](07_evaluation.ipynb)), which cannot tell one place of the frame
# from another.

# %%
averaging = averaging_parameters(parameters)
networks = held_out_networks(data, parameters)
averaging_networks = held_out_networks(data, averaging)

# %% [markdown]
# A network may have *collapsed*: all its hidden units are silent, and it answers the same to every image. Then the
# questions of this chapter are void for it.

# %%
inputs = network_inputs(data, parameters)
collapsed = occlusion.collapsed_networks(networks, inputs, data.k_m)
statements.collapse_banner(collapsed)

# %% [markdown]
# The input of these networks is {glue:text}`input_width:d` px wide: {glue:text}`pitch:.3g` pixels of the micrographs,
# in either direction, make one of it. What is narrower than two pixels of the input cannot be told apart, wherever a
# network looks.
#
# ## Where does the network look?
#
# **Where in the micrograph does the prediction come from?** A square patch, a sixth of the shorter side, moves over the
# input by half its side and hides what is below {cite:p}`zeiler2014`. Where that changes the prediction,
# the network has looked. The patch is mid-grey; a second map takes the mean of all inputs in its place,
# since any patch is a structure of its own. A third one is that of the micrograph rotated by 180°.

# %%
maps = occlusion.held_out_maps(data, parameters, networks)

# %% mystnb={"figure": {"name": "figure-occlusion", "caption": "Occlusion maps over the inputs of the networks that have not seen the formulation, the greatest $k_m$ first: by how much the predicted $k_m$ changes when the place is hidden by mid-grey. All maps share one scale; of more than nine formulations, so many examples."}, "image": {"alt": "Processed micrographs with coloured maps of where hiding a patch raises or lowers the predicted k_m"}}
looks = formulation_looks(data.formulations.index)
maps_figure = figures.maps_figure(maps, looks)
report.save_figure(maps_figure, "occlusion", parameters)

# %%
map_statistics = occlusion.map_statistics(maps)
tables.show_maps(map_statistics)

# %% [markdown]
# **How to read it.** Look first at how far a hidden place moves the prediction at all. Where that is less than 1 %,
# the network depends on no single place, and its map says nothing. Then at the correlations. Where the two fillings
# give different maps, the maps show what hides and not what is hidden. The map of the rotated micrograph, *rotated
# back*, is the same where the network follows what is seen; *not rotated back*, it is the same where the network follows
# the place in the frame, as a network may that has a weight of its own for every place. A cake has no such places,
# though focus and charging may make some in a micrograph. Where both correlations are near zero, the maps follow
# neither; where they are alike, neither prevails.
#
# **In short:** in the median over the formulations, hiding a place moves the prediction by up to
# {glue:text}`maps_greatest` %, a tenth of the area holds {glue:text}`maps_densest` % of a map's weight, and the map
# of the rotated micrograph correlates with the first by {glue:text}`maps_content` when it is rotated back and by
# {glue:text}`maps_place` when it is not.
#
# ### A picture on which the answer is known
#
# **Does the map, and does the prediction, single out a patch of finer pores?** Into the micrograph of the greatest
# $k_m$, that of {glue:text}`coarse`, taken for the coarsest, a patch of that of the least, {glue:text}`fine`, taken
# for the finest, is pasted before the processing, with the
# brightness and the contrast of what it replaces, once in each corner. For comparison the same
# place is filled with the micrograph's own texture from elsewhere. Where the data set is synthetic, so are these
# pictures: fresh stand-ins, which no network has seen. With micrographs of your own they are made from those, and a
# network that was trained on the finer one has seen the patch.

# %%
coarse, fine, pictures = occlusion.pasted_patches(data, parameters)

# %% [markdown]
# Of one predictor the right answer
# is known: a straight line through the **detail** of the inputs, the mean squared difference of neighbouring pixels,
# gives each place the weight of its share of the detail.

# %%
width = parameters.input_width
averaged = averaging_networks.of[coarse].predict
line = occlusion.detail_model(inputs, data.k_m)
readers = {
    "paper's network": (networks.of[coarse].predict, width),
    "network with averaged maps": (averaged, averaging.input_width),
    "linear in detail": (line, width),
}
found = occlusion.find_patches(pictures, readers)

# %% mystnb={"figure": {"name": "figure-pasted", "caption": "A coarse micrograph with a patch of finer pores pasted in (outlined), and its occlusion maps by three predictors, each on a scale of its own."}, "image": {"alt": "A coarse micrograph with an outlined patch of finer pores, and three maps of it"}}
first_maps = occlusion.pasted_maps(pictures[0], readers)
pasted_figure = figures.pasted_figure(first_maps)
report.save_figure(pasted_figure, "pasted_patch", parameters)

# %%
tables.show_pasted(found)

# %% tags=["remove-cell"]
report.save_table(map_statistics, "occlusion", parameters)
report.save_table(found, "pasted_patch", parameters)
median = map_statistics.median()
followed = median[["content", "place"]].map("{:+.2f}".format, "ignore")
content, place = followed.fillna("—").map(numbers.minus)
k_m = data.formulations["k_m"]
expected = found["area"].mean() * (k_m[fine] / k_m[coarse] - 1)
of_reader = found.groupby("reader").mean(numeric_only=True).T
network, known = of_reader["paper's network"], of_reader["linear in detail"]
report.glue(
    input_width=width,
    pitch=data.shape[1] / width,
    maps_greatest=numbers.percent(median["greatest"]),
    maps_densest=numbers.percent(median["densest"]),
    maps_content=content,
    maps_place=place,
    coarse=coarse,
    fine=fine,
    pasted_expected=numbers.percent(expected, sign=True),
    pasted_change=numbers.percent(network["change"], sign=True),
    pasted_known=numbers.percent(known["detail"]),
    pasted_found=numbers.percent(known["fine"]),
)

# %% [markdown]
# **How to read it.** Begin with the line through the detail. The share of its maps' weight on the fine patch must come
# close to the patch's share of the detail, and closer to that than to its share of the area: else occlusion does not
# show here what a predictor reads, and the other rows tell nothing. Where these two shares are alike, the pictures do
# not decide that. Then compare, for each network, the weight on the fine patch with that on the micrograph's own texture
# in the same place, and both with the share of the area. A network that notices finer pores predicts less because of
# them in every picture; one whose change is about zero, or has another sign from picture to picture, does not read
# them, whatever its map shows.
#
# **In short:** of the line's weight {glue:text}`pasted_known` % should lie in the patch, and its maps put
# {glue:text}`pasted_found` % there. A predictor that read $k_m$ in proportion to the area would change by
# {glue:text}`pasted_expected` % for the finer pores; the paper's network changes by {glue:text}`pasted_change` %.
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
# are. Flips and a rotation by 180° show the same frame, so that their scatter is the network's alone; where no
# formulation has several micrographs, they are all there is.

# %%
sources = frames.predictions_of_images(data, parameters, networks)

# %% [markdown]
# A frame can also be cut up. Then each network sees a smaller field, and that more finely: it has to be
# trained on such **windows**, all of a formulation being held out together. Each of these trainings, on whole frames too, ends
# when the mean error on what it is trained on is {glue:text}`criterion` %, or after
# {glue:text}`longer_training:d` times as many epochs as those of the chapters before. The input of these networks is
# {glue:text}`evaluation_width:d` px wide.

# %%
small = evaluation_parameters(parameters)
scales = frames.window_scales(
    data.shape, small.input_width, parameters.windows_per_side
)
by_scale = {
    scale.name: frames.window_predictions(data, small, scale)
    for scale in scales
}

# %% mystnb={"figure": {"name": "figure-frames", "caption": "Left: predictions of several images of each formulation by the network that has not seen it, beside the true $k_m$. Right: mean relative error of the average of so many images. Flips and frames are read by the networks with the input of the other chapters, windows and whole frames by networks with a smaller one: compare within either kind. Shaded, if at all: predictions that are not positive. With many formulations those of the largest errors are named."}, "image": {"alt": "Dots of predicted k_m beside the true ones, and lines of the error against the number of images averaged"}}
names = list(data.formulations.index)
frames_figure = figures.combination_figure(sources, by_scale, names)
report.save_figure(frames_figure, "frames", parameters)

# %%
compared_sources = frames.compare_sources(sources)
tables.show_sources(compared_sources)

# %% [markdown]
# **How to read it.** Averaging takes the *scatter* away, and leaves the *offset* of the mean. So the *error of all* is
# clearly less than that of one where the scatter is the greater part; where the offset is, more frames of the same
# formulations would not mend the error. The scatter of flips is what the network makes of one and the same frame: what
# frames scatter beyond that, they owe to what they show.
#
# Of the {glue:text}`frames_predictions:d` predictions on the left, {glue:text}`frames_not_positive:d` are not positive, which
# no $k_m$ is.
#
# **And is finer detail worth a smaller field?**

# %%
compared_scales = frames.compare_sources(by_scale)
tables.show_sources(
    compared_scales.assign(pitch=[scale.pitch for scale in scales])
)

# %% tags=["remove-cell"]
report.save_table(compared_sources, "frames", parameters)
report.save_table(compared_scales, "windows", parameters)
several, shown = compared_sources.iloc[-1], list(sources.values())[-1]
whole, native = (
    compared_scales["all"].iloc[0],
    compared_scales["all"].iloc[-1],
)
report.glue(
    criterion=numbers.percent(parameters.training_criterion),
    longer_training=parameters.longer_training,
    evaluation_width=small.input_width,
    frames_predictions=len(shown),
    frames_not_positive=int((shown["predicted_km"] <= 0).sum()),
    frames_source=compared_sources.index[-1],
    frames_images=int(several["images"]),
    frames_scatter=numbers.percent(several["scatter"]),
    frames_offset=numbers.percent(several["offset"]),
    frames_one=numbers.percent(several["one"]),
    frames_all=numbers.percent(several["all"]),
    scales_whole=numbers.percent(whole),
    scales_native=numbers.percent(native),
)

# %% [markdown]
# **How to read it.** The table goes from the whole frame to windows of native pixels, where one pixel of the micrograph
# makes one of the input; where it has one row, the network sees every pixel of the micrographs already. Compare the *error
# of all*, for which all windows of a frame are averaged. Where it falls from row to row, finer detail helps these
# networks, or the larger number of images does, as long as all rows have fitted what they are trained on; where it rises, the smaller field costs more than its detail brings. A difference of less than a tenth of the
# error decides nothing.
#
# **In short:** predictions from {glue:text}`frames_source` scatter by {glue:text}`frames_scatter` % of $k_m$, while
# their mean is off by {glue:text}`frames_offset` % on average; averaging as many as every formulation has
# ({glue:text}`frames_images:d`; with 1 nothing is averaged) takes the error
# from {glue:text}`frames_one` to {glue:text}`frames_all` %. Networks trained on whole frames err by
# {glue:text}`scales_whole` %, those in the last row by {glue:text}`scales_native` %.
#
# ## Does it survive the imaging?
#
# **How far does the prediction move when the same cake is imaged differently?** One held-out micrograph of each
# formulation is degraded *before* it is processed, then processed and predicted as usual. Where a shift or a rotation leaves the frame empty, it goes on as
# its mirror image.

# %%
imaged_by = {
    "paper's network": networks,
    "averaged maps": averaging_networks,
}
degraded = imaging.degraded_predictions(data, parameters, imaged_by)

# %% [markdown]
# The yardstick is an exchange: what the same network makes of the micrographs of the other
# formulations, on which it was trained. A change as large as that looks like another cake.

# %%
exchanged = {
    name: imaging.exchanged_changes(data, parameters, each).mean()
    for name, each in imaged_by.items()
}

# %% mystnb={"figure": {"name": "figure-imaging", "caption": "Change of the predicted $k_m$ of the held-out micrographs by how they were imaged: mean of the absolute change over the formulations, and each formulation for the paper's network. Dashed: the mean change when the micrograph is exchanged for that of another formulation. The vertical axis is linear below 1 %, logarithmic above; strengths are set side by side, whatever their size."}, "image": {"alt": "Seven small panels with the change of the prediction against brightness, contrast, defocus, noise, charging, shift and rotation"}}
imaging_figure = figures.imaging_figure(degraded, exchanged)
report.save_figure(imaging_figure, "imaging", parameters)

# %%
summary = tables.imaging_summary(degraded)
tables.show_imaging(summary)

# %% [markdown]
# **How to read it.** Compare each change with the exchange, which moves the predictions of the paper's network by a mean
# of {glue:text}`exchanged` %, and those of the network with averaged maps by {glue:text}`exchanged_averaging` %. A fault
# of the imaging that moves them as much makes two formulations of two sessions at the microscope; one that moves them by
# half of that is no trifle either. Where the exchange itself moves a network by less than 1 %, surviving is no merit: what
# reads nothing survives everything.
#
# Two of the faults the processing is meant to remove: an offset of the brightness, which the background shares, and a
# change of contrast, which keeps the order of the grey levels and thus the equalised histogram. On a micrograph
# of half the contrast, so that nothing saturates at black or white:

# %%
first = data.micrographs[0].image
removed = imaging.processing_changes(first, parameters)
report.show_table(
    removed,
    "Mean change in grey levels: of the micrograph, after equalisation "
    "alone, and processed as for the network",
    dict.fromkeys(removed, "{:.1f}"),
)

# %% tags=["remove-cell"]
report.save_table(degraded, "imaging", parameters)
own = degraded[degraded["reader"] == "paper's network"]
clean_error = (own["clean_km"] / own["true_km"] - 1).abs().mean()
strongest = imaging.DEGRADATIONS["defocus"].strengths[-1]
blurred = imaging.degraded_inputs(
    data, parameters, "defocus", strongest, [width]
)
sharp = imaging.clean_inputs(data, parameters, width)
report.glue(
    exchanged=numbers.percent(exchanged["paper's network"]),
    exchanged_averaging=numbers.percent(exchanged["averaged maps"]),
    most_harmful=summary.index[0],
    most_change=numbers.percent(summary["change"].iloc[0]),
    most_error=numbers.percent(summary["relative_error"].iloc[0]),
    least_harmful=summary.index[-1],
    least_change=numbers.percent(summary["change"].iloc[-1]),
    clean_error=numbers.percent(clean_error),
    contrast_sharp=sharp.std(axis=(1, 2)).mean(),
    contrast_blurred=blurred[width].std(axis=(1, 2)).mean(),
)

# %% [markdown]
# **How to read it.** Less than half a grey level is rounding. With the paper's processing an offset of the brightness
# leaves no more than that. A change of contrast would leave as little after the equalisation alone; but the ball rolls
# before it, and its height in grey levels is fixed. In the figure, offsets may saturate at black or white, and what is
# lost there no processing brings back.
#
# Defocus can matter even to a network that sees no detail as fine. With the strongest blur the standard deviation of
# its inputs goes from {glue:text}`contrast_sharp:.3f` to {glue:text}`contrast_blurred:.3f`. Where it grows, detail that
# is finer than the input's pixels is the reason: it takes its share of the equalised histogram, and averages out when
# the image shrinks. Once it is blurred away, the coarser structure gets that share, and the input more contrast.
#
# **In short:** at the strengths tried, {glue:text}`most_harmful` moves the prediction most, by {glue:text}`most_change` % on average,
# and {glue:text}`least_harmful` least, by {glue:text}`least_change` %, beside {glue:text}`exchanged` % for the micrograph of another formulation. With
# {glue:text}`most_harmful` the error is {glue:text}`most_error` % in place of {glue:text}`clean_error` %.
#
# ## What was shown
#
# - A map is read with how far it moves the prediction, and with that of the rotated micrograph: does it follow what is
#   seen, or where it is seen?
# - A map shows what a prediction depends on; whether it should is another question.
# - Averaging takes scatter away, not what all frames of a formulation have in common.
# - Compare every change with what another formulation's micrograph does: what reads nothing survives everything.
