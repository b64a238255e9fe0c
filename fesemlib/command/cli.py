"""The `fesem` command."""

from __future__ import annotations

import argparse
import math
import re
import signal
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from fesemlib.micrographs.reading import Micrograph
    from fesemlib.prediction.model import Model

INTERRUPTED = 130

# What a message of `synthesize_micrograph` calls a parameter, and what the command calls it.
_OPTIONS = {
    r"\bshape \((-?\d+), (-?\d+)\)": r"--width \2, --height \1",
    r"\bpixel_size_um\b": "--pixel-size",
    r"\bsolids_percent\b": "--solids",
    r"\bk_m\b": "--k-m",
    r"\bseed\b": "--seed",
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
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return int(options.command(options))
    except KeyboardInterrupt:
        print(f"\nfesem: interrupted; {options.left}", file=sys.stderr)
        return INTERRUPTED


def parameter_value(text: str) -> object:
    """Read the value of ``-p`` as a parameter file would, and every spelling of a number as one.

    Parameters
    ----------
    text
        For instance ``true``, ``100``, ``1e-3`` (which YAML alone takes for text) or a path.
    """
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str):
        return text
    try:
        return float(value) if value == text else value
    except ValueError:
        return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fesem",
        description="Mass transfer coefficients of freeze-dried products from FESEM micrographs.",
    )
    parser.add_argument("--version", action="version", version=f"fesem {version('fesem')}")
    parser.set_defaults(left="what was finished will be reused")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_book(commands)
    _add_check(commands)
    _add_clean(commands)
    _add_train(commands)
    _add_predict(commands)
    _add_synthesize(commands)
    return parser


def _add_book(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    book = commands.add_parser(
        "book",
        help="execute the notebooks and render the book",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Check the parameters and the data, execute the notebooks that changed since the last\n"
            "time, and render the book. Everything goes to build/PROFILE, where PROFILE is the\n"
            "name of the parameter file: the pages to html/, tables and figures to results/."
        ),
        epilog=(
            "examples:\n"
            "  fesem book params/smoke.yml\n"
            "  fesem book -p dataset mine/manifest.csv -p epochs 50"
        ),
    )
    _add_parameters(book, "params/book.yml of the checkout")
    book.set_defaults(command=_book)


def _add_parameters(command: argparse.ArgumentParser, default: str) -> None:
    command.add_argument(
        "parameters",
        metavar="PARAMS",
        nargs="?",
        type=Path,
        help=f"parameter file in YAML (default: {default})",
    )
    command.add_argument(
        "-p",
        dest="overrides",
        metavar=("NAME", "VALUE"),
        nargs=2,
        action="append",
        default=[],
        help="a parameter that replaces the file's; repeatable",
    )


def _overrides(options: argparse.Namespace) -> dict[str, object]:
    return {name: parameter_value(text) for name, text in options.overrides}


def _book(options: argparse.Namespace) -> int:
    from fesemlib.command.book import BookError, build_book

    try:
        index = build_book(options.parameters, _overrides(options))
    except BookError as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return error.exit_code
    print(index)
    return 0


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = commands.add_parser(
        "check",
        help="check parameters and data, and estimate time, memory and disk of the book",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Check what fesem book checks before it begins. Then train a few epochs on noise, in\n"
            "less than a minute, and estimate from them how long all trainings of the book will\n"
            "take on this machine if none is in the cache, and how much memory and disk."
        ),
        epilog="examples:\n  fesem check mine.yml\n  fesem check params/book.yml -p epochs 500",
    )
    _add_parameters(check, "params/book.yml of the checkout")
    check.set_defaults(command=_check, left="nothing was written")


def _check(options: argparse.Namespace) -> int:
    from fesemlib.command.checks import DEFAULT_PARAMETERS, checked_dataset, read_profile
    from fesemlib.command.effort import estimate, probe, shortages
    from fesemlib.progress import duration
    from fesemlib.storage import checkout

    root = checkout()
    path = options.parameters or Path(root or "", DEFAULT_PARAMETERS)
    try:
        parameters = read_profile(path, _overrides(options))
        dataset = checked_dataset(path, parameters)
    except (ValueError, OSError) as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return 2
    height, width = dataset.shape
    print(
        f"parameters and data are sound: {len(dataset.micrographs)} micrographs of "
        f"{len(dataset.formulations)} formulations, {width}×{height} px"
    )
    effort = estimate(dataset, parameters, probe(dataset, parameters))
    print("estimated from a few epochs, if nothing is in the cache:")
    for chapter, seconds in effort.seconds.items():
        print(f"  trainings of {chapter:<20} {duration(seconds):>12}")
    print(f"  all of them {duration(sum(effort.seconds.values())):>34}")
    print(f"  memory of the trainings {effort.bytes_of_memory / 1e9:>19.1f} GB")
    print(f"  disk, at least {effort.bytes_of_disk / 1e9:>28.1f} GB")
    print("what the chapters do beside training comes on top")
    for shortage in shortages(effort, *_free_bytes()):
        print(f"too little: {shortage}")
    return 0


def _free_bytes() -> tuple[int, int]:
    """Of memory, and of the disk that the build folder lies on or will lie on."""
    import psutil

    from fesemlib.storage import build_folder

    folder = build_folder().absolute()
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return psutil.virtual_memory().available, psutil.disk_usage(str(there)).free


def _add_clean(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    clean = commands.add_parser(
        "clean",
        help="keep the cache below a size",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Remove from the cache what is quickest to make again, and of that what was used\n"
            "longest ago, until no more is left than asked for. Trained folds go last. Books and\n"
            "results are not touched, nor what a book that is being built may be reading."
        ),
        epilog="examples:\n  fesem clean\n  fesem clean --keep 500MB --dry-run",
    )
    add = clean.add_argument
    add("--keep", default="5GB", metavar="SIZE", help="such as 500MB or 2GB (default: %(default)s)")
    add("--dry-run", action="store_true", help="say what would be removed, and remove nothing")
    clean.set_defaults(command=_clean, left="what was not removed is kept")


def _clean(options: argparse.Namespace) -> int:
    from fesemlib.command.cache import Entry, bytes_of, cache_folder, entries, remove, to_remove

    try:
        limit = bytes_of(options.keep)
    except ValueError as error:
        print(f"fesem: error: --keep {error}", file=sys.stderr)
        return 2
    found = entries()
    doomed = to_remove(found, limit)
    if not options.dry_run:
        try:
            remove(doomed)
        except OSError as error:
            print(f"fesem: error: {error}", file=sys.stderr)
            return 1
    verb = "would be removed" if options.dry_run else "removed"
    print(cache_folder())

    def megabytes(of: Sequence[Entry], kind: str = "") -> str:
        size = sum(entry.size for entry in of if kind in ("", entry.kind))
        return f"{size / 1e6:>9.1f} MB"

    for kind in dict.fromkeys(entry.kind for entry in found):
        print(f"  {kind:<12} {megabytes(found, kind)}, {verb} {megabytes(doomed, kind)}")
    print(f"  {'kept':<12} {megabytes([entry for entry in found if entry not in doomed])}")
    return 0


def _add_train(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    train = commands.add_parser(
        "train",
        help="train networks on all formulations, and write them to a model folder",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Train one network for each seed on all formulations, leave each formulation out in\n"
            "turn to know how far they are wrong, and write them to a folder with a model card.\n"
            "What has been trained before is reused."
        ),
        epilog=(
            "examples:\n"
            "  fesem train params/book.yml -o model\n"
            "  fesem train -p dataset mine/manifest.csv -p number_of_seeds 5 -o model"
        ),
    )
    train.add_argument(
        "-o", dest="folder", metavar="FOLDER", type=Path, required=True, help="the model folder"
    )
    train.add_argument("--force", action="store_true", help="replace the model if there is one")
    _add_parameters(train, "the defaults of all parameters")
    train.set_defaults(command=_train)


def _train(options: argparse.Namespace) -> int:
    from fesemlib.dataset import load_dataset
    from fesemlib.network.architecture import check_input_shape
    from fesemlib.params import checked_parameters, read_parameters
    from fesemlib.prediction.folder import check_target
    from fesemlib.prediction.model import train_model
    from fesemlib.processing import input_shape
    from fesemlib.storage import DiskFullError, writable
    from fesemlib.validation.workers import SchedulerError, TrainingError

    try:
        check_target(options.folder, options.force)
        writable(options.folder.resolve().parent)
        if options.parameters is None:
            parameters = checked_parameters(_overrides(options), "-p")
        else:
            parameters = read_parameters(options.parameters, _overrides(options))
        dataset = load_dataset(parameters)
        check_input_shape(input_shape(dataset.shape, parameters.input_width))
    except (ValueError, OSError) as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return 2
    try:
        model = train_model(dataset, parameters).save(options.folder, options.force)
    except (ValueError, OSError, DiskFullError, TrainingError, SchedulerError) as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return 1
    print(options.folder)
    print(
        f"{model.card.data}; members: {len(model.networks)}; interval from k_m divided by "
        f"{math.exp(model.half_width):.2f} to k_m times that"
    )
    return 0


def _add_predict(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    predict = commands.add_parser(
        "predict",
        help="predict k_m of new micrographs with a model folder",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Read and process micrographs as those that the model was trained on, and print k_m\n"
            "with an interval, the product resistance of a dried layer, and whether the model may\n"
            "be asked about such a micrograph. A file that cannot be used does not stop the rest;\n"
            "the exit code is then 1."
        ),
        epilog=(
            "examples:\n"
            "  fesem predict model new.tif\n"
            "  fesem predict model 'batch_*/*.tif' --thickness 8 --csv predictions.csv"
        ),
    )
    add = predict.add_argument
    add("model", metavar="MODEL", type=Path, help="a folder from fesem train")
    add("images", metavar="IMAGE", nargs="+", help="files, folders, or patterns such as '*.tif'")
    add(
        "--thickness",
        type=float,
        default=7.0,
        metavar="MM",
        help="of the dried layer whose resistance is given, mm (default: %(default)g)",
    )
    add(
        "--front-temperature",
        type=float,
        default=-30.0,
        metavar="CELSIUS",
        help="of the sublimation front, °C (default: %(default)g)",
    )
    add(
        "--pixel-size",
        type=float,
        metavar="UM",
        help="edge of a pixel of all images, µm, instead of what their files tell",
    )
    add("--csv", metavar="FILE", type=Path, help="write the table as CSV, in SI units")
    add("--json", metavar="FILE", type=Path, help="write it as JSON, in SI units")
    add("--jobs", type=int, default=0, metavar="N", help="images at a time (default: one a core)")
    predict.set_defaults(command=_predict, left="no file was written")


def _predict(options: argparse.Namespace) -> int:
    from fesemlib.micrographs.files import image_files
    from fesemlib.prediction.model import load_model

    try:
        _check_numbers(options)
        files = image_files(options.images)
        _check_outputs(options, files)
        model = load_model(options.model)
    except (ValueError, OSError) as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return 2
    return _predict_all(options, model, files)


def _predict_all(options: argparse.Namespace, model: Model, files: list[str]) -> int:
    from fesemlib.prediction import output as output
    from fesemlib.prediction.model import Layer, predict_files
    from fesemlib.progress import progress

    layer = Layer(options.thickness / 1e3, round(options.front_temperature + 273.15, 6))
    width = output.name_width(files)
    print(output.heading(model, layer, width))
    rows = []
    with progress(len(files), "micrographs") as advance:
        for row in predict_files(model, files, layer, options.pixel_size, options.jobs):
            rows.append(row)
            if sys.stderr.isatty():  # where the line of progress stands
                print("\r\033[K", end="", file=sys.stderr, flush=True)
            print(output.line(row, width), flush=True)
            advance()
    failed = sum(bool(row.error) for row in rows)
    try:
        if options.csv:
            output.write_csv(options.csv, rows)
        if options.json:
            output.write_json(options.json, rows, model, layer)
    except OSError as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return 1
    if failed:
        print(f"fesem: {failed} of {len(rows)} micrographs could not be used", file=sys.stderr)
    return 1 if failed else 0


def _check_numbers(options: argparse.Namespace) -> None:
    """Raise a ValueError for a number that is none of what its option is about."""
    if not 0.1 <= options.thickness <= 100:
        raise ValueError(
            f"--thickness {options.thickness:g}: give the dried layer in mm, 0.1 to 100; 7 is 7 mm"
        )
    if not -163.15 <= options.front_temperature <= 0.01:
        raise ValueError(
            f"--front-temperature {options.front_temperature:g}: ice has -163.15 to 0.01 °C; give "
            "°C, not K"
        )
    if options.pixel_size is not None and not 0 < options.pixel_size < 1000:
        raise ValueError(f"--pixel-size {options.pixel_size:g}: give µm, more than 0, below 1000")
    if not 0 <= options.jobs <= 1024:
        raise ValueError(f"--jobs {options.jobs}: give 0 for one a core, or up to 1024")


def _add_synthesize(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    synthesize = commands.add_parser(
        "synthesize",
        help="write a stand-in micrograph as a Zeiss microscope would",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=(
            "Render a stand-in for the micrograph of a cake of a given mass transfer coefficient,\n"
            "and write it as a TIFF with Zeiss' metadata and data bar; both say that it is\n"
            "synthetic. Nothing learnt from it says anything about a real product."
        ),
        epilog=(
            "examples:\n"
            "  fesem synthesize --k-m 1.1e-3 --seed 3 out.tif\n"
            "  fesem synthesize --k-m 2.8e-4 --solids 10 --width 1024 --height 768 small.tif"
        ),
    )
    add = synthesize.add_argument
    add("path", metavar="FILE", type=Path, help="the file to write, .tif or .tiff")
    add("--k-m", type=float, required=True, help="mass transfer coefficient, m² s⁻¹, about 1e-3")
    add("--seed", type=int, default=0, help="fixes everything random (default: %(default)s)")
    add("--solids", type=float, default=5.0, help="in the solution, mass %% (default: %(default)s)")
    add("--width", type=int, default=2048, help="in px (default: %(default)s)")
    add("--height", type=int, default=1536, help="in px, data bar included (default: %(default)s)")
    add(
        "--pixel-size",
        type=float,
        default=2000 / 2048,
        help="edge of a pixel in µm (default: %(default).4g, as in the paper)",
    )
    add("--no-data-bar", action="store_true", help="leave out the data bar")
    add("--force", action="store_true", help="replace the file if it exists")
    synthesize.set_defaults(command=_synthesize)


def _synthesize(options: argparse.Namespace) -> int:
    from fesemlib.drying.equations import porosity
    from fesemlib.micrographs.zeiss import write_zeiss_tiff
    from fesemlib.synthetic import cell_diameter, throat_diameter

    try:
        _check_target(options.path, options.force)
        micrograph = _rendered(options)
    except (ValueError, OSError) as error:
        print(f"fesem: error: {error}", file=sys.stderr)
        return 2
    try:
        write_zeiss_tiff(options.path, micrograph)
    except OSError as error:
        print(f"fesem: error: {options.path}: cannot be written ({error})", file=sys.stderr)
        return 1
    throat_um = 1e6 * throat_diameter(options.k_m, porosity(options.solids))
    print(options.path)
    print(
        f"synthetic; pixel {micrograph.pixel_size_um:.4g} µm, "
        f"cells {cell_diameter(throat_um):.3g} µm, throats {throat_um:.3g} µm"
    )
    return 0


def _rendered(options: argparse.Namespace) -> Micrograph:
    """The stand-in asked for; a ValueError speaks of the command's options."""
    from fesemlib.micrographs.zeiss import burn_data_bar
    from fesemlib.synthetic import synthesize_micrograph

    try:
        micrograph = synthesize_micrograph(
            options.k_m,
            options.seed,
            (options.height, options.width),
            options.pixel_size,
            options.solids,
        )
    except ValueError as error:
        message = str(error)
        for name, option in _OPTIONS.items():
            message = re.sub(name, option, message)
        raise ValueError(message) from error
    if options.no_data_bar:
        return micrograph
    try:
        return burn_data_bar(micrograph)
    except ValueError as error:
        raise ValueError(f"{error} (--no-data-bar)") from error


def _check_target(path: Path, force: bool) -> None:
    """Raise a ValueError or an OSError where a TIFF cannot or should not be written."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file, ending in .tif")
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise ValueError(f"{path}: what is written is a TIFF; give a name that ends in .tif")
    if path.exists() and not force:
        raise FileExistsError(f"{path}: exists; choose another name, or add --force to replace it")
    _check_folder_of(path)


def _check_outputs(options: argparse.Namespace, files: Sequence[str]) -> None:
    """Raise a ValueError or an OSError where the tables cannot or should not be written."""
    taken = {Path(file).resolve(): "one of the micrographs" for file in files}
    model = options.model.resolve()
    for option, path in (("--csv", options.csv), ("--json", options.json)):
        if path is None:
            continue
        target = path.resolve()
        what = "within the model's folder" if model in target.parents else taken.get(target)
        if what is None and target.exists() and not target.is_file() and not target.is_dir():
            what = "no regular file"
        if what is not None:
            raise ValueError(f"{option} {path}: is {what}; choose another name")
        _check_writable(path)
        taken[target] = f"what {option} names, too"


def _check_writable(path: Path) -> None:
    """Raise an OSError where a file cannot be written, be it a new one or one to replace."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: is a folder; give the name of a file")
    _check_folder_of(path)


def _check_folder_of(path: Path) -> None:
    folder = path.parent.resolve()
    if not folder.exists():
        raise FileNotFoundError(f"{path}: there is no folder {folder}; make it, or choose another")
    if not folder.is_dir():
        raise NotADirectoryError(f"{path}: {folder} is not a folder; choose another")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        # In /proc and the like the system says of the folder that it does not exist.
        reason = "" if isinstance(error, FileNotFoundError) else f" ({error.strerror})"
        raise PermissionError(
            f"{path}: no file can be made in {folder}{reason}; choose another folder"
        ) from error
