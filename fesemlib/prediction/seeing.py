"""A new micrograph as the predictor of a model sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from fesemlib.borrowed import features
from fesemlib.dataset import DatasetError, pixel_sizes_differ, rescale_micrograph
from fesemlib.micrographs.files import PredictionError
from fesemlib.micrographs.reading import Micrograph, first_and_last, read_alike
from fesemlib.network.inputs import network_input
from fesemlib.prediction.folder import Card
from fesemlib.predictors.known import Seen
from fesemlib.predictors.measures import BORROWED, COMPOSITION, LENGTH, told_composition
from fesemlib.predictors.networks import Networks
from fesemlib.processing import GreyImage


def read_as_trained(card: Card, file: str) -> Micrograph:
    """Read a micrograph cut as the training set was, if it is of the size of those."""
    width = None if card.parameters.rescale else card.shape[1]
    return read_alike(file, card.parameters.crop, width, card.page)


def see(card: Card, micrograph: Micrograph, composition: str = "") -> Seen:
    """Measure a micrograph as those of the training set, or raise a PredictionError."""
    predictor = card.as_predictor
    if micrograph.has_data_bar:
        raise PredictionError(
            f"the data bar is still there (from row {micrograph.data_bar_row}); cut it off, the "
            "model was trained without"
        )
    micrograph, note = with_pixel_size(micrograph, card)
    first, last = first_and_last(card.parameters.crop) or (0, len(micrograph.image))
    if len(micrograph.image) != last - first:
        uncut = "of another size than the training set, of which rows were cut off"
        note = "; ".join(filter(None, [note, f"{uncut}: writing in it was not looked for"]))
    by_length = LENGTH in predictor.needs
    measures = card.measuring.of(micrograph.image, micrograph.pixel_size_um, by_length)
    if by_length and np.isnan(measures[LENGTH]).any():
        raise PredictionError(
            "has no correlation length, which the model goes by: it is too small for its pores, or "
            "shaded throughout; take the micrograph of a larger field"
        )
    if BORROWED in predictor.needs:
        reduced = card.measuring.reduced(micrograph.image, micrograph.pixel_size_um)
        own = pd.Series(features(reduced)).rename(str)
        measures = pd.concat([measures, pd.concat({BORROWED: own})])
    if COMPOSITION in predictor.needs:
        if not composition:
            raise PredictionError("the model goes by the composition; tell it with --composition")
        told = told_composition(composition, list(card.known.measures[COMPOSITION]))
        measures = pd.concat([measures, told])
    if isinstance(predictor, Networks):
        image = _of_the_frame(micrograph, card)
        return Seen(measures, network_input(image, predictor.own(card.parameters)), note)
    return Seen(measures, note=note)


def with_pixel_size(micrograph: Micrograph, card: Card) -> tuple[Micrograph, str]:
    """The micrograph with the pixel size that counts, and what could not be checked."""
    own_um, models_um = micrograph.pixel_size_um, card.pixel_size_um
    if models_um is not None and own_um is not None and card.parameters.check_pixel_size:
        return micrograph, ""
    if micrograph.image.shape[1] != card.shape[1]:
        remedy = "tell it with --pixel-size, or take the micrograph so that this width is left"
        if models_um is None:
            remedy = "take the micrograph so that this width is left, or train with pixel_size_um"
        raise PredictionError(
            f"{micrograph.image.shape[1]} px wide, but the model was trained on frames of "
            f"{card.shape[1]} px, and the pixel size that could tell why is not known; {remedy}"
        )
    if models_um is None:
        note = "the model knows no pixel size, so that it was not checked"
    else:
        note = f"pixel size not told, taken for the model's {models_um:.4g} µm"
    return replace(micrograph, pixel_size_um=models_um), note


def _of_the_frame(micrograph: Micrograph, card: Card) -> GreyImage:
    """The micrograph at the size and the pixel size that a network takes."""
    own_um, models_um = micrograph.pixel_size_um, card.pixel_size_um
    if card.parameters.rescale and models_um is not None:
        try:
            return rescale_micrograph(micrograph, models_um, card.shape).image
        except DatasetError as error:
            raise PredictionError(f"{error} (--pixel-size)") from None
    shape = micrograph.image.shape
    if shape != card.shape:
        cut = micrograph.cut_rows
        bar = f" without the {cut} rows of its data bar, which were cut off" if cut else ""
        raise PredictionError(
            f"{shape[1]}×{shape[0]} px{bar}, but the model was trained on "
            f"{card.shape[1]}×{card.shape[0]} px (width × height, after cropping); take the "
            "micrograph so that this size is left, or train a predictor that takes any"
        )
    if own_um and models_um and pixel_sizes_differ(own_um, models_um):
        raise PredictionError(
            f"{own_um:.4g} µm a pixel, but the model was trained at {models_um:.4g} µm; take the "
            "micrograph at the same magnification, or tell the true pixel size with --pixel-size"
        )
    return micrograph.image
