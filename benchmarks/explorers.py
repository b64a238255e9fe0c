"""How soon the pictures of an explorer follow its sliders.

The time is what the kernel takes from the change of a slider to the new pictures, once each control
has been moved; the browser adds its own. The micrograph has the paper's size, 2048×1536 px, which
the explorer of the background halves.
"""

from __future__ import annotations

import time
from typing import Any
from unittest.mock import patch

from fesemlib.dataset import load_dataset
from fesemlib.drying.calibration import vial_of
from fesemlib.pages import explorers
from fesemlib.params import Parameters
from fesemlib.prediction.model import train_model

REPETITIONS = 5

CHANGES: dict[str, list[Any]] = {
    "radius (px)": [8, 20, 100, 200],
    "light background": [False],
    "equalisation": ["imagej", "clahe", "none"],
    "kₘ (10⁻³ m² s⁻¹)": [0.4, 1.9],
    "solids (%)": [10],
    "pixel (µm)": [4],
    "seed": [3],
    "zoom": [2],
    "window across (%)": [0],
    "window down (%)": [100],
    "brightness": [-40],
    "contrast": [0.25],
    "defocus (px)": [8],
    "noise": [40],
    "shelf (°C)": [-20, 10],
    "kᵥ (W m⁻² K⁻¹)": [8, 30],
    "ice (mm)": [14],
}
"""Control and the values that it is moved to."""


def controls_of(explorer: Any) -> dict[str, Any]:
    """The controls of an explorer by their names."""
    return {control.description: control for control in explorer.children[0].children}


def measure(control: Any, values: list[Any]) -> float:
    """The least of several times (s) that the slowest of some changes takes."""
    slowest = 0.0
    for value in values:
        times = []
        back = control.value
        for _ in range(REPETITIONS):
            explorers._drying_hours.cache_clear()
            start = time.perf_counter()
            control.value = value
            times.append(time.perf_counter() - start)
            control.value = back
        slowest = max(slowest, min(times))
    return slowest


def main() -> None:
    """Move every control and print the table."""
    parameters = Parameters(synthetic_width=2048, epochs=1)
    dataset = load_dataset(parameters)
    model = train_model(dataset, parameters)
    image = dataset.micrographs[0].image
    with patch.object(explorers, "in_live_notebook", lambda: True):
        shown = {
            "background, half size": explorers.explore_background(image, parameters),
            "stand-in": explorers.explore_stand_in(),
            "prediction": explorers.explore_prediction(model, image),
            "drying": explorers.explore_drying(vial_of(parameters), parameters),
        }
    print("slowest change of each control; times are the best of several")
    print(f"{'explorer':<24}{'control':<24}{'time':>10}")
    for name, explorer in shown.items():
        for control, widget in controls_of(explorer).items():
            print(f"{name:<24}{control:<24}{1e3 * measure(widget, CHANGES[control]):>7.0f} ms")


if __name__ == "__main__":
    main()
