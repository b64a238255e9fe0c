"""The `fesem` command; modules that take time to import are imported where they are used."""

from __future__ import annotations

import math
import re
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import click

from fesemlib.command.terminal import CommandError, ending

# After an interruption, by command.
_LEFT = {
    "check": "nothing was written",
    "clean": "what was not removed is kept",
    "figure3": "what was written may not be whole",
    "pores": "no file was written",
    "predict": "no file was written",
    "synthesize": "no file was written",
    "volume": "nothing was written",
}
# What a message about a stand-in calls a parameter, and what `synthesize` calls it.
_OPTIONS = {
    r"\bshape \((-?\d+), (-?\d+)\)": r"--width \2, --height \1",
    r"\bpixel_size_um\b": "--pixel-size",
    r"\bsolids_percent\b": "--solids",
    r"\bk_m\b": "--k-m",
    r"\bseed\b": "--seed",
    r"\bleave the bar out\b": r"\g<0> (--no-data-bar)",
}
# The least and the greatest number that `predict` takes, and what it says of others.
_LIMITS = {
    "--thickness": (0.1, 100, "give the dried layer in mm, 0.1 to 100; 7 is 7 mm"),
    "--front-temperature": (-163.15, 0.01, "ice has -163.15 to 0.01 °C; give °C, not K"),
    "--pixel-size": (math.ulp(0), math.nextafter(1e3, 0), "give µm, more than 0, below 1000"),
    "--voxel-size": (1e-4, 50, "give µm, 0.0001 to 50"),
    "--page": (1, 1e9, "pages are counted from 1"),
    "--jobs": (0, 1024, "give 0 for one a core, or up to 1024"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Parameters
    ----------
    arguments
        What stands behind ``fesem``; those of the process if not given.

    Returns
    -------
    int
        The exit code: 0, 1 when something failed, 2 when what was handed over is wrong, 130 after
        an interruption.

    Examples
    --------
    >>> from contextlib import redirect_stderr
    >>> with redirect_stderr(sys.stdout):
    ...     main(["predict", "model", "new.tif", "--thickness", "0"])
    fesem: error: --thickness 0: give the dried layer in mm, 0.1 to 100; 7 is 7 mm
    2
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(fesem.main(given, "fesem", standalone_mode=False) or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        left = _LEFT.get(given[0], "what was finished will be reused")
        click.echo(f"fesem: interrupted; {left}", err=True)
        return 130


def parameter_value(text: str) -> object:
    """The value of ``-p`` as a parameter file has it: ``true``, ``100``, ``1e-3`` or a path."""
    import yaml

    with suppress(yaml.YAMLError):
        value = yaml.safe_load(text)
        if value == text:  # as is 1e-3, which YAML takes for text
            with suppress(ValueError):
                return float(text)
        if isinstance(value, bool | int | float | str):
            return value
    return text


def _within_limits(_: click.Context, option: click.Parameter, value: float | None) -> float | None:
    least, greatest, advice = _LIMITS[option.opts[0]]
    if value is None or least <= value <= greatest:
        return value
    raise CommandError(f"{option.opts[0]} {value:g}: {advice}", exit_code=2)


_AS_NETWORK = "add --predictor paper_network"
_PATH = click.Path(path_type=Path)
_NUMBER = partial(click.option, callback=_within_limits)
_FILE = click.argument(
    "file", metavar="[PARAMS]", required=False, type=_PATH, help="Parameter file in YAML."
)
_OVERRIDES = click.option(
    "-p",
    "overrides",
    type=(str, str),
    metavar="NAME VALUE",
    multiple=True,
    callback=lambda _, __, pairs: {name: parameter_value(text) for name, text in pairs},
    help="A parameter that replaces the file's; repeatable.",
)
_IMAGES = click.argument(
    "images", metavar="IMAGE...", nargs=-1, required=True, help="Files, folders, patterns."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="fesem", message="%(prog)s %(version)s")
def fesem() -> None:
    """Mass transfer coefficients of freeze-dried products from FESEM micrographs."""


@fesem.command()
@_FILE
@_OVERRIDES
def book(file: Path | None, overrides: dict[str, object]) -> None:
    """Execute the notebooks and render the book.

    Checks the parameters and the data, executes the notebooks that changed since the last time, and
    renders the book. Everything goes to build/PROFILE, where PROFILE is the name of the parameter
    file: the pages to html/, tables and figures to results/. Without a file, it is params/book.yml
    of the checkout.

    \b
    Examples:
      fesem book params/smoke.yml
      fesem book -p dataset mine/manifest.csv -p epochs 50
    """
    from fesemlib.command.book import build_book

    click.echo(build_book(file, overrides))


@fesem.command()
@_FILE
@_OVERRIDES
def check(file: Path | None, overrides: dict[str, object]) -> None:
    """Check parameters and data; estimate time, memory and disk.

    Checks what fesem book checks before it begins. Then trains a few epochs on noise, in less than
    a minute, and estimates from them how long the leave-one-out of chapters 04 and 05 will take on
    this machine if nothing is in the cache, the choice of the predictor of chapter 06 and of fesem
    train, and that of the epoch of chapter 07, and how much memory and disk the book will need.
    Without a file, it is params/book.yml of the checkout.

    \b
    Examples:
      fesem check mine.yml
      fesem check params/book.yml -p epochs 500
    """
    from fesemlib.command.cache import size_text
    from fesemlib.command.checks import DEFAULT_PARAMETERS, checked_dataset, read_profile
    from fesemlib.command.effort import estimate, free_bytes, probe, shortages
    from fesemlib.progress import duration
    from fesemlib.storage import checkout

    path = file or Path(checkout() or "", DEFAULT_PARAMETERS)
    with ending(2):
        parameters = read_profile(path, overrides)
        dataset = checked_dataset(path, parameters)
    height, width = dataset.shape
    click.echo(
        f"parameters and data are sound: {len(dataset.micrographs)} micrographs of "
        f"{len(dataset.formulations)} formulations, {width}×{height} px"
    )
    if dataset.synthetic:
        click.echo(f"stand-ins, whose k_m are {parameters.label_source}")
    if dataset.crop != parameters.crop:
        click.echo(f"writing that they share was found and cut off: rows kept: {dataset.crop}")
    effort = estimate(dataset, parameters, probe(dataset, parameters))
    click.echo("estimated from a few epochs, if nothing is in the cache:")
    for chapter, seconds in effort.seconds.items():
        chosen = {"06": "choice of the predictor,", "07": "choice of the epoch,"}
        what = chosen.get(chapter, "leave-one-out of")
        click.echo(f"  {what} chapter {chapter} {duration(seconds):>12}")
    click.echo(f"  memory of its trainings {size_text(effort.bytes_of_memory):>16}")
    click.echo(f"  disk, at least {size_text(effort.bytes_of_disk):>25}")
    click.echo("what else these chapters do, and all other chapters, come on top")
    for shortage in shortages(effort, *free_bytes()):
        click.echo(f"too little: {shortage}")


@fesem.command()
@click.option("--keep", default="5GB", metavar="SIZE", help="Such as 500MB or 2GB.")
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def clean(keep: str, dry_run: bool) -> None:
    """Keep the cache below a size.

    Removes from the cache what is quickest to make again, and of that what was used longest ago,
    until no more is left than asked for. Trained folds go last. Books and results are not touched,
    nor what a book that is being built may be reading.

    \b
    Examples:
      fesem clean
      fesem clean --keep 500MB --dry-run
    """
    from fesemlib.command.cache import bytes_of, cache_folder, entries, size_text, to_remove

    with ending(2):
        limit = bytes_of(keep)
    found = entries()
    doomed = to_remove(found, limit, time.time())
    if not dry_run:
        with ending(1):
            for path in doomed["path"]:
                path.unlink(missing_ok=True)
    verb = "would be removed" if dry_run else "removed"
    click.echo(cache_folder())
    sizes, gone = (each.groupby("kind", observed=True)["size"].sum() for each in (found, doomed))
    for kind, size in sizes.items():
        removed = size_text(gone.get(kind, 0))
        click.echo(f"  {kind:<12} {size_text(size):>9}, {verb} {removed:>9}")
    click.echo(f"  {'kept':<12} {size_text(int(sizes.sum() - gone.sum())):>9}")


@fesem.command()
@click.option("-o", "folder", metavar="FOLDER", type=_PATH, required=True, help="The model folder.")
@click.option("--predictor", metavar="KIND", help="What predicts, as the parameter `predictor`.")
@click.option("--composition", is_flag=True, help="New micrographs come with their composition.")
@click.option("--force", is_flag=True, help="Replace a model; keep one without skill.")
@click.option("--keras", metavar="FILE", type=_PATH, help="Also write an ordinary Keras file.")
@_FILE
@_OVERRIDES
def train(
    file: Path | None,
    overrides: dict[str, object],
    folder: Path,
    predictor: str | None,
    composition: bool,
    force: bool,
    keras: Path | None,
) -> None:
    """Choose a predictor and fit it to all formulations, into a model folder.

    Compares the predictors by nested leave-one-out, or takes the one that is asked for, fits it to
    all formulations, and writes it to a folder with a model card that says how wrong it is about a
    formulation that it has not seen. Where no image information is found, the model is the median,
    and the exit code 1; an image predictor without skill is written with --force only. What has
    been trained before is reused. Without a file, all parameters have their defaults.

    \b
    Examples:
      fesem train mine.yml -o model
      fesem train mine.yml -o model --predictor paper_network --keras model.keras
    """
    from fesemlib.command.checks import NETWORKS, check_size, check_target, remarked_dataset
    from fesemlib.params import checked_parameters, read_parameters
    from fesemlib.prediction import folder as model_folder
    from fesemlib.prediction.model import train_model
    from fesemlib.prediction.output import quality
    from fesemlib.storage import writable
    from fesemlib.validation.workers import SchedulerError, TrainingError

    if predictor:
        overrides["predictor"] = predictor
    if composition:
        overrides["with_composition"] = True
    with ending(2):
        model_folder.check_target(folder, force)
        writable(folder.resolve().parent)
        if keras:
            check_target(keras, "Keras file", (".keras",), force)
        read = read_parameters(file, overrides) if file else checked_parameters(overrides, "-p")
        if keras and read.predictor not in ("auto", *NETWORKS):
            raise ValueError(f"--keras: predictor = {read.predictor} is no network; {_AS_NETWORK}")
        dataset = remarked_dataset(read)
        if read.predictor in ("auto", *NETWORKS):
            check_size(dataset.shape, read.input_width)
    with ending(1, TrainingError, SchedulerError):
        model = train_model(dataset, read)
        card = model.card
        if not (card.informed or force or read.predictor in ("auto", "median")):
            raise ValueError(
                f"predictor = {read.predictor}: {quality(card)}; no model was written: take "
                "--predictor median, or --force to have it all the same"
            )
        model = model.save(folder, force)
        click.echo(folder)
        click.echo(
            f"{card.data}; predictor: {card.predictor}; {quality(card)}; interval: k_m "
            f"divided by {math.exp(model.half_width):.2f} to k_m times that"
        )
        if keras and not model.networks:
            raise ValueError(f"--keras: the predictor is no network; {_AS_NETWORK}")
        if keras:
            model_folder.write_keras(model.networks, keras)
    if read.predictor == "auto" and not (card.informed or force):
        raise CommandError(
            f"no image information found: {folder} holds the median of the formulations, which "
            "sees no image"
        )


@fesem.command()
@click.argument("folder", metavar="MODEL", type=_PATH, help="A folder from fesem train.")
@_IMAGES
@_NUMBER("--thickness", default=7.0, metavar="MM", help="Of the dried layer, mm.")
@_NUMBER("--front-temperature", default=-30.0, metavar="CELSIUS", help="Of the ice, °C.")
@_NUMBER("--pixel-size", type=float, metavar="UM", help="Of all images, µm, not the files'.")
@_NUMBER("--page", type=int, metavar="N", show_default="that of the training", help="Of all TIFFs.")
@click.option("--composition", default="", metavar="TEXT", help="As '4% dextran + 1% mannitol'.")
@click.option("--one-product", is_flag=True, help="All images show one: add their mean.")
@click.option("--csv", metavar="FILE", type=_PATH, help="Write the table as CSV, in SI units.")
@click.option("--json", metavar="FILE", type=_PATH, help="Write it as JSON, in SI units.")
@click.option("--report", metavar="FILE", type=_PATH, help="Write a page with pictures (HTML).")
@click.option("--cycle", metavar="PARAMS", type=_PATH, help="Vial and cycle for the report.")
@_NUMBER("--jobs", default=0, metavar="N", show_default="one a core", help="Images at a time.")
def predict(
    folder: Path,
    images: tuple[str, ...],
    thickness: float,
    front_temperature: float,
    pixel_size: float | None,
    page: int | None,
    composition: str,
    one_product: bool,
    csv: Path | None,
    json: Path | None,
    report: Path | None,
    cycle: Path | None,
    jobs: int,
) -> None:
    """Predict k_m of new micrographs with a model folder.

    Reads and processes micrographs as those that the model was trained on, and prints k_m with an
    interval, the product resistance of a dried layer of that thickness with its sublimation front
    at that temperature, and whether the model may be asked about such a micrograph. A file that
    cannot be used does not stop the rest; the exit code is then 1. The report is one file, which
    needs no network; it also works out the drying of a cycle, by default the paper's.

    \b
    Examples:
      fesem predict model new.tif
      fesem predict model batch_7 --one-product --report batch_7.html --cycle mine.yml
      fesem predict model 'batch_*/*.tif' --thickness 8 --csv predictions.csv
    """
    from fesemlib.command.checks import check_composition, check_outputs
    from fesemlib.micrographs.files import image_files
    from fesemlib.params import Parameters, read_parameters
    from fesemlib.prediction import output
    from fesemlib.prediction.model import Layer, load_model, mean_prediction, predict_files
    from fesemlib.progress import progress

    with ending(2):
        files = image_files(images)
        inputs = [*files, *([str(cycle)] if cycle else [])]
        check_outputs(folder, inputs, {"--csv": csv, "--json": json, "--report": report})
        if cycle and not report:
            raise ValueError(f"--cycle {cycle}: is for the report; add --report FILE")
        drying = read_parameters(cycle) if cycle else Parameters()
        model = load_model(folder).of_page(page)
        check_composition(model.card, composition)
    layer = Layer(thickness / 1e3, round(front_temperature + 273.15, 6))
    width = output.name_width(files)
    click.echo(output.heading(model, layer, width))
    rows = []
    with progress(len(files), "micrographs") as advance:
        for row in predict_files(model, files, layer, pixel_size, jobs, composition):
            rows.append(row)
            if sys.stderr.isatty():  # where the line of progress stands
                click.echo("\r\033[K", nl=False, err=True)
            click.echo(output.line(row, width))
            advance()
    failed = sum(bool(row.error) for row in rows)
    with ending(1):
        if one_product:
            rows.append(mean_prediction(model, rows, layer))
            click.echo(output.line(rows[-1], width))
        if csv:
            output.write_csv(csv, rows)
        if json:
            output.write_json(json, rows, model, layer)
        if report:
            from fesemlib.pages.prediction_report import write_report

            write_report(report, rows, files, model, layer, drying, pixel_size)
    _end_with_failures(failed, len(files))


@fesem.command()
@_IMAGES
@click.option("--threshold", metavar="LEVEL", multiple=True, default=("otsu", "median"))
@_NUMBER("--pixel-size", type=float, metavar="UM", help="Of all images, µm, not the files'.")
@_NUMBER("--page", default=1, metavar="N", help="Of all TIFFs.")
@click.option("--csv", metavar="FILE", type=_PATH, help="Write the table as CSV.")
@click.option("--report", metavar="FILE", type=_PATH, help="Write a page with pictures (HTML).")
@_OVERRIDES
def pores(images: tuple[str, ...], csv: Path | None, report: Path | None, **told: Any) -> None:
    """Measure the pores of micrographs, in µm.

    Reads and processes micrographs, takes what is dark for pores, and prints their share of the
    frame, mean chord, local thickness, the share that is one piece, the Euler number, and the
    correlation length of the frame as recorded. LEVEL, one or several, is otsu, median (the darker
    half) or a grey level. The report shows the outlines, the distributions, and what the numbers
    mean. Of the parameters, those of the processing and crop count. A file that cannot be used does
    not stop the rest; the exit code is then 1.

    \b
    Examples:
      fesem pores new.tif --report new.html
      fesem pores batch_7 --csv pores.csv --threshold otsu --threshold 120
      fesem pores new.png --pixel-size 0.98 -p background_radius_px 30
    """
    from fesemlib.command.checks import check_outputs
    from fesemlib.micrographs.files import image_files
    from fesemlib.pages.pore_report import as_text, measured, write_csv, write_report
    from fesemlib.params import checked_parameters

    found = []
    with ending(2):
        files = image_files(images)
        check_outputs(None, files, {"--csv": csv, "--report": report})
        asked = checked_parameters(told.pop("overrides"), "-p")
        for file in files:
            found.append(measured(file, asked, **told))
            click.echo(as_text(found[-1][0]))
    with ending(1):
        if csv:
            write_csv(csv, found)
        if report:
            write_report(report, found, asked)
    _end_with_failures(sum("error" in rows[0] for rows, _ in found), len(files))


def _end_with_failures(failed: int, files: int) -> None:
    """End with the exit code 1 if micrographs could not be used."""
    if failed:
        click.echo(f"fesem: {failed} of {files} micrographs could not be used", err=True)
        click.get_current_context().exit(1)


@fesem.command()
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=_PATH, help="PDF or images."
)
@click.option("-o", "folder", metavar="FOLDER", type=_PATH, required=True, help="For the data set.")
@_NUMBER("--page", type=int, metavar="N", help="Of the PDF; else the only one that fits.")
@click.option("--grid", metavar="ROWSxCOLUMNS", help="Where no gutters part the panels: 3x3.")
@click.option("--cut", metavar="SIDE=SIZE,...", help="Off each panel, px or %: top=24,left=5%.")
@click.option("--force", is_flag=True, help="Write into a folder that holds files.")
def figure3(
    files: tuple[Path, ...],
    folder: Path,
    page: int | None,
    grid: str | None,
    cut: str | None,
    force: bool,
) -> None:
    """Make a data set of the paper's Figure 3, which prints its nine processed micrographs.

    Takes the paper's PDF, the figure saved from the journal's page (PNG, JPEG, TIFF), or its nine
    panels as files, A to I. Finds the panels, row by row, cuts letters and scale bars off, and
    writes the images, a manifest with the k_m of Table 1, a parameter file for fesem book, and
    contact_sheet.png, which shows what was taken for which formulation and what was cut off.

    \b
    Examples:
      fesem figure3 paper.pdf -o figure3
      fesem figure3 figure.jpg -o figure3 --grid 3x3 --cut top=24,left=5%
    """
    from fesemlib.command.figure3 import check_folder, margins, read_panels, write_data_set

    with ending(2):
        check_folder(folder, force)
        panels = read_panels(files, page, grid)
        writing = margins(panels, cut)
    with ending(1):
        remarks = write_data_set(folder, panels, writing)
    click.echo("\n".join([str(folder), *remarks]))
    click.echo(
        f"Is each panel in {folder / 'contact_sheet.png'} what its title says, and free of "
        f"writing? Then: fesem book {folder / 'figure3.yml'}"
    )


@fesem.command()
@click.argument("stack", metavar="STACK", type=_PATH, help="A TIFF of pages, or a folder.")
@_NUMBER("--voxel-size", "voxel_um", type=float, metavar="UM", help="µm, not the file's.")
@click.option("--threshold", type=float, metavar="GREY", help="Else Otsu's, of the whole stack.")
@click.option("--dark-solid", is_flag=True, help="Solid is what is below the threshold.")
def volume(stack: Path, **how: Any) -> None:
    """Work out how freely a gas diffuses through a stack of sections.

    Reads a tomogram, as a TIFF of several pages or a folder of images, parts solid and pores at a
    threshold, and prints, for each axis, the effective diffusivity of the pores relative to open
    space, the tortuosity, and k_m with its statistical error, of molecules that fly from wall to
    wall at 250 K. Walls thinner than a voxel leak; k_m needs walls and pores of three voxels. At
    most 256 sections of 256×256 px.

    \b
    Examples:
      fesem volume cake.tif
      fesem volume sections/ --voxel-size 1.5 --threshold 120
    """
    from fesemlib.synthetic.foam import mean_speed
    from fesemlib.volume import VolumeError, effective_diffusivity, read_stack, volume_knudsen

    with ending(2):
        solid, edge = read_stack(stack, **how)
    click.echo(f"{solid.shape} voxels of {edge:.4g} µm, porosity {1 - solid.mean():.4f}")
    through = []
    for axis, name in enumerate("zyx"):
        try:
            found = effective_diffusivity(solid, axis)
            told = f"D_e/D {found.relative_diffusivity:.4f}, tortuosity {found.tortuosity:.3f}"
            through.append((axis, name))
        except VolumeError as error:
            told = str(error)
        click.echo(f"along {name}: {told}")
    with ending(1):
        walk, unit = volume_knudsen(solid, seed=0), 1e-6 * edge * mean_speed()
    for axis, name in through:
        k_m, deviation = unit * walk.value[axis], unit * walk.error[axis]
        click.echo(f"along {name}: k_m {k_m:.3g} ± {deviation:.2g} m² s⁻¹")


@fesem.command()
@click.argument("file", metavar="FILE", type=_PATH, help="The file to write, .tif or .tiff.")
@click.option(
    "--k-m", type=float, required=True, help="Mass transfer coefficient, m² s⁻¹, about 1e-3."
)
@click.option("--seed", default=0, help="Fixes everything random.")
@click.option("--solids", "solids_percent", default=5.0, help="In the solution, mass %.")
@click.option("--width", default=2048, help="In px.")
@click.option("--height", default=1536, help="In px, data bar included.")
@click.option(
    "--pixel-size",
    "pixel_size_um",
    default=2000 / 2048,
    show_default="0.9766, as in the paper",
    help="Edge of a pixel in µm.",
)
@click.option("--no-data-bar", is_flag=True, help="Leave out the data bar.")
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
def synthesize(
    file: Path, force: bool, no_data_bar: bool, width: int, height: int, **drawn: Any
) -> None:
    """Write a stand-in micrograph as a Zeiss microscope would.

    Renders a stand-in for the micrograph of a cake of a given mass transfer coefficient, and writes
    it as a TIFF with Zeiss' metadata and data bar; both say that it is synthetic. Nothing learnt
    from it says anything about a real product.

    \b
    Examples:
      fesem synthesize --k-m 1.1e-3 --seed 3 out.tif
      fesem synthesize --k-m 2.8e-4 --solids 10 --width 1024 --height 768 small.tif
    """
    from fesemlib.command.checks import check_target
    from fesemlib.drying.equations import porosity
    from fesemlib.micrographs.zeiss import burn_data_bar, write_zeiss_tiff
    from fesemlib.synthetic import synthesize_micrograph
    from fesemlib.synthetic.foam import cell_diameter, throat_diameter

    with ending(2):
        check_target(file, "TIFF", (".tif", ".tiff"), force)
    try:
        micrograph = synthesize_micrograph(shape=(height, width), **drawn)
        if not no_data_bar:
            micrograph = burn_data_bar(micrograph)
    except ValueError as error:
        message = str(error)
        for name, option in _OPTIONS.items():
            message = re.sub(name, option, message)
        raise CommandError(message, exit_code=2) from error
    try:
        write_zeiss_tiff(file, micrograph)
    except OSError as error:
        raise CommandError(f"{file}: cannot be written ({error})", 1) from error
    throat_um = 1e6 * throat_diameter(drawn["k_m"], porosity(drawn["solids_percent"]))
    click.echo(file)
    click.echo(
        f"synthetic; pixel {micrograph.pixel_size_um:.4g} µm, "
        f"cells {cell_diameter(throat_um):.3g} µm, throats {throat_um:.3g} µm"
    )
