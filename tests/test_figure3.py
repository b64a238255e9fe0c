"""A data set from the paper's Figure 3: sheets made of stand-ins, as a journal would print them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import yaml
from bs4 import BeautifulSoup
from PIL import Image, ImageDraw, ImageFont
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    FloatObject,
    NameObject,
    NumberObject,
)

from fesemlib.command.cli import main
from fesemlib.dataset import load_dataset
from fesemlib.formulations import table1
from fesemlib.pages.figures.micrographs import step_titles, workflow_figure
from fesemlib.panels.sheet import cut_off, find_writing, panels_of
from fesemlib.params import ProcessingParameters, read_parameters
from fesemlib.processing import process, process_with, resize_by_area
from fesemlib.synthetic import synthesize_micrograph

Images = list[np.ndarray]
NAMES = "ABCDEFGHI"
WIDTH, HEIGHT = 240, 180


@pytest.fixture(scope="module")
def sources() -> Images:
    """The nine panels as the authors would have them: whole fields, processed."""
    solids = [5.0] * 8 + [10.0]
    made = [
        synthesize_micrograph(k_m, seed, (540, 720), 2000 / 720, percent).image
        for seed, (k_m, percent) in enumerate(zip(table1()["k_m"], solids, strict=True))
    ]
    small = [resize_by_area(process(image).equalized, WIDTH) for image in made]
    return [np.round(image).astype(np.uint8) for image in small]


def lettered(panels: Images, text: str = "({})", ink: int = 255, bar: bool = True) -> Images:
    """The panels with their letter in a corner and a scale bar."""
    drawn = []
    for letter, panel in zip(NAMES, panels, strict=True):
        image = Image.fromarray(panel)
        draw = ImageDraw.Draw(image)
        draw.text((6, 4), text.format(letter), ink, ImageFont.load_default(20))
        if bar:
            draw.rectangle((WIDTH - 70, HEIGHT - 12, WIDTH - 10, HEIGHT - 8), ink)
        drawn.append(np.asarray(image))
    return drawn


def sheet(
    panels: Sequence[np.ndarray],
    ground: int = 255,
    gutter: int = 10,
    frame: int = 0,
    captions: bool = False,
    columns: int = 3,
) -> Image.Image:
    """Panels in rows on a ground, each in a frame and above a caption."""
    height, width = (side + 2 * frame for side in panels[0].shape)
    down = height + gutter + 24 * captions
    rows = -(-len(panels) // columns)
    size = (columns * (width + gutter) + gutter, rows * down + gutter)
    page = Image.new("L", size, ground)
    draw = ImageDraw.Draw(page)
    for number, panel in enumerate(panels):
        x = gutter + number % columns * (width + gutter)
        y = gutter + number // columns * down
        draw.rectangle((x, y, x + width - 1, y + height - 1), 255 - ground)
        page.paste(Image.fromarray(panel), (x + frame, y + frame))
        if captions:
            place = (x + width // 3, y + height + 2)
            draw.text(place, f"({number}) 5% dextran", 255 - ground, ImageFont.load_default(14))
    return page


def as_jpeg(image: Image.Image, quality: int = 92) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file)


# ------------------------------------------------------------------------------ PDF by hand


def stream(content: bytes, **entries: object) -> DecodedStreamObject:
    made = DecodedStreamObject()
    made.set_data(content)
    for name, value in entries.items():
        made[NameObject(f"/{name}")] = value
    return made


def embedded(image: Image.Image, jpeg: bool = False) -> DecodedStreamObject:
    """An image XObject, unpacked or as JPEG."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    made = stream(file.getvalue() if jpeg else image.tobytes())
    colours = "/DeviceGray" if image.mode == "L" else "/DeviceRGB"
    names = {"Type": "/XObject", "Subtype": "/Image", "ColorSpace": colours}
    names |= {"Filter": "/DCTDecode"} if jpeg else {}
    numbers = {"Width": image.width, "Height": image.height, "BitsPerComponent": 8}
    made.update({NameObject(f"/{name}"): NameObject(value) for name, value in names.items()})
    made.update({NameObject(f"/{name}"): NumberObject(value) for name, value in numbers.items()})
    return made if jpeg else made.flate_encode()


Placed = tuple[object, tuple[float, ...]]  # an XObject and its matrix


def drawing(writer: pypdf.PdfWriter, things: Sequence[Placed]) -> tuple[bytes, DictionaryObject]:
    """What draws things, and the resources that name them."""
    named, lines = DictionaryObject(), []
    for number, (thing, matrix) in enumerate(things):
        named[NameObject(f"/X{number}")] = writer._add_object(thing)
        lines.append(f"q {' '.join(map(str, matrix))} cm /X{number} Do Q")
    resources = DictionaryObject({NameObject("/XObject"): named})
    return "\n".join(lines).encode(), resources


def pdf(path: Path, *pages: Sequence[Placed], turn: int = 0, form: bool = False) -> Path:
    """Write a PDF file of pages of placed things, on which they may be inside a form."""
    writer = pypdf.PdfWriter()
    for things in pages:
        page = writer.add_blank_page(600, 800)
        content, resources = drawing(writer, things)
        if form:
            unit = ArrayObject(map(FloatObject, (0.5, 0, 0, 0.5, 0, 0)))
            inner = stream(content, Subtype=NameObject("/Form"), Matrix=unit, Resources=resources)
            content, resources = drawing(writer, [(inner, (1, 0, 0, 1, 10, 10))])
        page[NameObject("/Resources")] = resources
        page[NameObject("/Contents")] = writer._add_object(stream(content))
        if turn:
            page.rotate(turn)
    writer.write(path)
    return path


def on_page(images: Sequence[np.ndarray], columns: int = 3, gap: float = 8) -> list[Placed]:
    """Images placed row by row from the top, in an order that says nothing."""
    placed = []
    for number, image in enumerate(images):
        x, y = 20 + number % columns * (160 + gap), 640 - number // columns * (120 + gap)
        placed.append((embedded(Image.fromarray(image)), (160, 0, 0, 120, x, y)))
    return placed[::-1]


OTHER = np.tile(np.linspace(0, 255, 320).astype(np.uint8), (200, 1))  # another figure
LOGO = Image.new("RGB", (90, 60), "red")


def beside(things: Sequence[Placed]) -> tuple[Sequence[Placed], ...]:
    """Pages of an article around that of the things: a logo, another figure."""
    logo = (embedded(LOGO), (40, 0, 0, 30, 20, 760))
    return [logo], [(embedded(Image.fromarray(OTHER)), (300, 0, 0, 200, 50, 300))], [*things, logo]


# -------------------------------------------------------------------------------- the forms


def one_picture(path: Path, sources: Images) -> list[Path]:
    image = sheet(sources)
    placed = (embedded(image.convert("RGB"), jpeg=True), (500, 0, 0, 390, 50, 300))
    return [pdf(path / "paper.pdf", *beside([placed]))]


def in_a_form(path: Path, sources: Images) -> list[Path]:
    placed = (embedded(sheet(sources)), (500, 0, 0, 390, 50, 300))
    return [pdf(path / "paper.pdf", *beside([placed]), form=True)]


def turned(path: Path, sources: Images) -> list[Path]:
    """The page is turned by a quarter, and the picture back by as much."""
    placed = (embedded(sheet(sources)), (0, 500, -390, 0, 450, 100))
    return [pdf(path / "paper.pdf", [placed], turn=90)]


def mirrored(path: Path, sources: Images) -> list[Path]:
    """The picture is stored upside down, and drawn the other way."""
    upside_down = Image.fromarray(np.asarray(sheet(sources))[::-1])
    placed = (embedded(upside_down), (500, 0, 0, -390, 50, 700))
    return [pdf(path / "paper.pdf", [placed])]


def nine_pictures(path: Path, sources: Images) -> list[Path]:
    return [pdf(path / "paper.pdf", *beside(on_page(sources)))]


def touching_pictures(path: Path, sources: Images) -> list[Path]:
    return [pdf(path / "paper.pdf", on_page(sources, gap=0))]


def png(path: Path, sources: Images) -> list[Path]:
    sheet(sources, frame=2, captions=True).save(path / "figure.png")
    return [path / "figure.png"]


def transparent(path: Path, sources: Images) -> list[Path]:
    """With nothing in the gutters, and black below that."""
    image = sheet(sources, ground=0)
    image.putalpha(sheet([np.full_like(panel, 255) for panel in sources], ground=0))
    image.save(path / "figure.png")
    return [path / "figure.png"]


def pillow_pdf(path: Path, sources: Images) -> list[Path]:
    sheet(sources, ground=0).convert("RGB").save(path / "figure.pdf", quality=95)
    return [path / "figure.pdf"]


def jpeg(path: Path, sources: Images) -> list[Path]:
    sheet(sources, ground=0, gutter=4).convert("RGB").save(path / "figure.jpg", quality=92)
    return [path / "figure.jpg"]


def tiff(path: Path, sources: Images) -> list[Path]:
    sheet(sources, ground=0, columns=9).save(path / "figure.tif")
    return [path / "figure.tif"]


def files(path: Path, sources: Images) -> list[Path]:
    for name, panel in zip(NAMES, sources, strict=True):
        Image.fromarray(panel).save(path / f"{name}.png")
    return [path / f"{name}.png" for name in NAMES]


FORMS = (one_picture, in_a_form, turned, mirrored, nine_pictures, touching_pictures)
FORMS += (png, transparent, pillow_pdf, jpeg, tiff, files)


def made(folder: Path) -> Images:
    return [np.asarray(Image.open(folder / f"{name}.png")) for name in NAMES]


def alike(panel: np.ndarray, source: np.ndarray) -> float:
    """The correlation of a panel with its source, where they lie on each other best."""
    height, width = panel.shape
    places = [
        source[top : top + height, left : left + width]
        for top in range(source.shape[0] - height + 1)
        for left in range(source.shape[1] - width + 1)
    ]
    return max(np.corrcoef(panel.ravel(), part.ravel())[0, 1] for part in places)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_panels_are_found_row_by_row(tmp_path, sources, form, capsys):
    given = form(tmp_path, sources)
    assert main(["figure3", *map(str, given), "-o", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert "cut off: nothing" in told
    panels = made(tmp_path / "out")
    for panel, source in zip(panels, sources, strict=True):
        assert np.subtract(source.shape, panel.shape).max() <= 6
        assert alike(panel, source) > 0.99
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv").set_index("formulation")
    assert manifest["k_m"].to_dict() == table1()["k_m"].to_dict()
    assert manifest["composition"].to_dict() == table1()["composition"].to_dict()
    assert manifest["pixel_size_um"].to_numpy() == pytest.approx(2000 / WIDTH, rel=0.02)
    parameters = read_parameters(tmp_path / "out" / "figure3.yml")
    data = load_dataset(parameters)
    assert "".join(data.formulations.index) == NAMES
    assert (parameters.processing, data.synthetic) == ("none", False)
    assert "published figure, processed by the authors, resampled, JPEG" in data.provenance
    with Image.open(tmp_path / "out" / "contact_sheet.png") as contact:
        assert contact.width > 1000


@pytest.mark.parametrize("text", ["({})", "{}"])
@pytest.mark.parametrize(("ink", "ground"), [(255, 255), (0, 255), (255, 0)])
def test_letters_and_scale_bars_are_cut_off(sources, text, ink, ground):
    drawn = lettered(sources, text, ink)
    panels = panels_of([np.asarray(as_jpeg(sheet(drawn, ground)))])
    cut = find_writing(panels).cut
    assert sum(cut) > 0
    for panel, clean, written in zip(panels, sources, drawn, strict=True):
        left = cut_off(written, cut) != cut_off(clean, cut)
        assert left.mean() < 1e-3
        assert np.corrcoef(cut_off(panel, cut).ravel(), cut_off(clean, cut).ravel())[0, 1] > 0.99
    kept = cut_off(panels[0], cut).size / panels[0].size
    assert kept > 0.6


def test_panels_without_writing_are_not_cut(sources):
    assert find_writing(sources) == ((0, 0, 0, 0), [])


def test_writing_in_the_middle_is_left_and_told(tmp_path, sources, capsys):
    marked = [panel.copy() for panel in sources]
    for panel in marked:
        panel[80:90, 110:140] = 255
    sheet(marked).save(tmp_path / "figure.png")
    run = ["figure3", str(tmp_path / "figure.png"), "-o", str(tmp_path / "out")]
    assert main(run) == 0
    assert "writing in 1 place(s) is left" in capsys.readouterr().out


def test_cut_is_in_pixels_or_percent_and_leaves_the_pixel_size(tmp_path, sources):
    sheet(lettered(sources)).save(tmp_path / "figure.png")
    run = ["figure3", str(tmp_path / "figure.png"), "-o", str(tmp_path / "out")]
    assert main([*run, "--cut", "top=18,left = 10%, bottom=5px"]) == 0
    panels = made(tmp_path / "out")
    assert panels[0].shape == (HEIGHT - 18 - 5, WIDTH - WIDTH // 10)
    manifest = pd.read_csv(tmp_path / "out" / "manifest.csv")
    assert manifest["pixel_size_um"].to_numpy() == pytest.approx(2000 / WIDTH)


@pytest.mark.parametrize("grid", ["3x3", "3×3", " 3 X 3"])
def test_grid_divides_a_sheet_without_gutters(tmp_path, sources, grid):
    rows = [np.hstack(sources[n : n + 3]) for n in (0, 3, 6)]
    Image.fromarray(np.vstack(rows)).save(tmp_path / "figure.png")
    run = ["figure3", str(tmp_path / "figure.png"), "-o", str(tmp_path / "out"), "--grid", grid]
    assert main(run) == 0
    assert np.array_equal(made(tmp_path / "out"), sources)


def test_field_of_another_shape_is_told(tmp_path, sources, capsys):
    sheet([panel[:, :-40] for panel in sources]).save(tmp_path / "figure.png")
    run = ["figure3", str(tmp_path / "figure.png"), "-o", str(tmp_path / "out")]
    assert main(run) == 0
    assert "not 4:3" in capsys.readouterr().out


# ------------------------------------------------------------------------------- what is refused


def eight(path: Path, sources: Images) -> Path:
    sheet(sources[:8]).save(path / "wrong.png")
    return path / "wrong.png"


def colour(path: Path, sources: Images) -> Path:
    red = sheet(sources)
    other = Image.eval(red, lambda level: level // 2)
    Image.merge("RGB", [red, other, other]).save(path / "wrong.jpg")
    return path / "wrong.jpg"


def photo(path: Path, sources: Images) -> Path:
    Image.fromarray(sources[0]).save(path / "wrong.png")
    return path / "wrong.png"


def thumbnail(path: Path, sources: Images) -> Path:
    sheet([panel[::5, ::5] for panel in sources]).save(path / "wrong.png")
    return path / "wrong.png"


def text_only(path: Path, _: Images) -> Path:
    return pdf(path / "wrong.pdf", [])


def eight_in_pdf(path: Path, sources: Images) -> Path:
    return pdf(path / "wrong.pdf", *beside(on_page(sources[:8])))


def two_sheets(path: Path, sources: Images) -> Path:
    return pdf(path / "wrong.pdf", on_page(sources), [], on_page(sources[::-1]))


def encrypted(path: Path, sources: Images) -> Path:
    writer = pypdf.PdfWriter(pdf(path / "plain.pdf", on_page(sources)))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(path / "wrong.pdf")
    return path / "wrong.pdf"


def no_pdf(path: Path, _: Images) -> Path:
    (path / "wrong.pdf").write_text("<html>Please sign in</html>")
    return path / "wrong.pdf"


def damaged(path: Path, _: Images) -> Path:
    (path / "wrong.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)))
    return path / "wrong.pdf"


def bomb(path: Path, _: Images) -> Path:
    image = embedded(Image.new("L", (64, 64)))
    image[NameObject("/Width")] = image[NameObject("/Height")] = NumberObject(60_000)
    return pdf(path / "wrong.pdf", [(image, (500, 0, 0, 390, 50, 300))])


def forms_in_forms(path: Path, sources: Images) -> Path:
    """Forms that each draw the next a hundred times."""
    writer = pypdf.PdfWriter()
    thing: object = embedded(Image.fromarray(sources[0]))
    for _ in range(7):
        content, resources = drawing(writer, [(thing, (1, 0, 0, 1, 0, 0))])
        body = b"\n".join([content] * 100)
        thing = stream(body, Subtype=NameObject("/Form"), Resources=resources)
    page = writer.add_blank_page(600, 800)
    content, resources = drawing(writer, [(thing, (1, 0, 0, 1, 0, 0))])
    page[NameObject("/Resources")] = resources
    page[NameObject("/Contents")] = writer._add_object(stream(content))
    writer.write(path / "wrong.pdf")
    return path / "wrong.pdf"


REFUSED: dict[Callable[[Path, Images], Path], str] = {
    eight: "8 panels where 9 are needed; give the whole figure",
    colour: "% of its pixels are in colour; a figure of grey",
    photo: "one picture without gutters where 9 are needed",
    thumbnail: "panels of 48×36 px, less than 64 wide; save the figure at its full size",
    text_only: "no embedded pictures); save the figure from the journal's page",
    eight_in_pdf: "page 3: 90×60 px, 100 % of its pixels are in colour",
    two_sheets: "pages 1, 3 have a sheet of 9 panels each; say which: --page",
    encrypted: "encrypted; save it without a password",
    no_pdf: "cannot be read; it may be damaged or another kind of file; give a PDF, PNG",
    damaged: "cannot be read; it",
    bomb: "page 1: 60000×60000 px, more than 50 megapixels",
    forms_in_forms: "too much in it; say which page has the figure (--page)",
}


@pytest.mark.parametrize("wrong", REFUSED, ids=lambda wrong: wrong.__name__)
def test_wrong_sheet_is_refused_with_what_was_found(tmp_path, sources, wrong, capsys):
    path = wrong(tmp_path, sources)
    assert main(["figure3", str(path), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"fesem: error: {path}: ")
    assert told.count("\n") == 1
    assert REFUSED[wrong] in told
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--page", "2"], "--page 2 is for a PDF; leave it out"),
        (["--grid", "3"], "--grid 3; write ROWSxCOLUMNS, of 9 cells or more: 3x3"),
        (["--grid", "2x2"], "--grid 2x2; write ROWSxCOLUMNS"),
        (["--cut", "up=3"], "--cut up=3; write it as top=24,left=5%"),
        (["--cut", "top=100"], f"--cut top=100; leave at least half of the {WIDTH}×{HEIGHT} px"),
        (["figure.png"], "2 files; give one with the whole figure, or 9, from A to I"),
    ],
    ids=lambda value: "".join(value),
)
def test_wrong_options_are_refused_before_anything_is_written(
    tmp_path, sources, options, words, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    sheet(sources).save("figure.png")
    assert main(["figure3", "figure.png", "-o", "out", *options]) == 2
    assert words in capsys.readouterr().err
    assert not Path("out").exists()


def test_page_chooses_among_sheets(tmp_path, sources):
    path = two_sheets(tmp_path, sources)
    run = ["figure3", str(path), "-o", str(tmp_path / "out"), "--page"]
    assert main([*run, "3"]) == 0
    assert np.array_equal(made(tmp_path / "out"), sources[::-1])
    assert main([*run, "4", "--force"]) == 2


def test_folder_with_files_is_not_written_into(tmp_path, sources, capsys):
    sheet(sources).save(tmp_path / "figure.png")
    run = ["figure3", str(tmp_path / "figure.png"), "-o", str(tmp_path)]
    assert main(run) == 2
    assert "holds files already; choose another folder, or add --force" in capsys.readouterr().err
    assert main([*run, "--force"]) == 0
    assert (tmp_path / "figure.png").is_file()


def test_profile_is_that_of_the_published_book(tmp_path, sources):
    sheet(sources).save(tmp_path / "figure.png")
    assert main(["figure3", str(tmp_path / "figure.png"), "-o", str(tmp_path / "out")]) == 0
    own = yaml.safe_load((tmp_path / "out" / "figure3.yml").read_text(encoding="utf-8"))
    book = yaml.safe_load(Path("params/book.yml").read_text(encoding="utf-8"))
    changed = {name for name in book if own[name] != book[name]}
    assert changed == {"synthetic_width"}
    assert own.keys() - book.keys() == {"dataset", "processing", "crop"}


@pytest.mark.slow
def test_book_of_the_figure_says_what_it_shows(tmp_path, sources, run):
    """From the article to the rendered page, with the effort of the smoke book."""
    given = one_picture(tmp_path, lettered(sources))
    assert main(["figure3", str(given[0]), "-o", str(tmp_path / "out")]) == 0
    path = tmp_path / "out" / "figure3.yml"
    own, smoke = (yaml.safe_load(file.read_text()) for file in (path, Path("params/smoke.yml")))
    path.write_text(yaml.safe_dump(own | smoke), encoding="utf-8")
    done = run("fesem", "book", path, build=tmp_path / "build")
    assert done.returncode == 0, done.stdout + done.stderr
    made = tmp_path / "build" / "figure3"
    pages = {page.stem: page for page in (made / "html" / "notebooks").glob("*.html")}
    for name in pages.keys() - {"10_stand_ins", "13_third_dimension"}:  # of what is computed
        page = pages[name]
        banner = text_of(page, ".data-banner")
        told = (
            "published figure, processed by the authors, resampled, JPEG, letters cut: Figure 3 of"
        )
        for words in (told, "https://doi.org/10.3390/pr13020365", "CC BY 4.0", "manifest.csv"):
            assert words in banner, page.name
    table = pd.read_csv(made / "results" / "table_2.csv")
    assert "".join(table["formulation"][:9]) == NAMES
    assert [column for column in table if "published" in column]
    tables = text_of(made / "html" / "notebooks" / "05_loocv_augmented.html", "table")
    assert "published" in tables
    assert "letters cut" in text_of(made / "html" / "book" / "introduction.html", ".data-banner")


def text_of(page: Path, selector: str) -> str:
    found = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").select(selector)
    return " ".join(" ".join(each.get_text(" ") for each in found).split())


# ------------------------------------------------------------------------------ processing: none


def test_without_processing_an_image_stays_as_it_is(sources):
    steps = process_with(ProcessingParameters(processing="none"), sources[0])
    for step in (steps.original, steps.subtracted, steps.equalized):
        assert np.array_equal(step, sources[0])
    with pytest.raises(TypeError, match="uint8"):
        process_with(ProcessingParameters(processing="none"), sources[0].astype(float))


def test_figures_say_which_step_is_off(sources):
    for processing, equalization, titles in (
        ("paper", "classic", ("background subtracted", "histogram equalised")),
        ("paper", "none", ("background subtracted", "histogram equalisation: off")),
        ("none", "classic", ("background subtraction: off", "histogram equalisation: off")),
    ):
        parameters = ProcessingParameters(processing=processing, equalization=equalization)
        processed = process_with(parameters, sources[0])
        assert step_titles(processed) == titles
        figure = workflow_figure(processed, processed.equalized / np.float32(255), 1, 1e-3, False)
        shown = {" ".join(axes.get_title().split()) for axes in figure.axes}
        assert set(titles) <= shown


def test_what_is_kept_of_processed_images_keeps_its_name():
    """The default is left out of the values that name a file, as before there was a choice."""
    values = ProcessingParameters.values_of(ProcessingParameters())
    radius, light, smooth, kind = values.values()
    assert (radius, light, smooth, kind) == (50.0, True, True, "classic")
    none = ProcessingParameters(processing="none")
    assert ProcessingParameters.values_of(none) == {"processing": "none", **values}
    assert ProcessingParameters.of(none).processing == "none"
    assert ProcessingParameters.of(ProcessingParameters()).processing == "paper"
