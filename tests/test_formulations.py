"""Table 1 and manifests: what is read, and what is refused with which words."""

import unicodedata

import numpy as np
import openpyxl
import pytest
from conftest import ROWS
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.drying.equations import product_resistance
from fesemlib.formulations import (
    SOLUTES,
    ManifestError,
    image_path,
    percentages,
    read_manifest,
    table1,
)

PAGES = "formulation,image,k_m,page,pixel_size_um"
FULL = "formulation,image,k_m,composition,std_percent"


def test_table_1_has_the_papers_solids():
    solids = table1()[list(SOLUTES)].sum(axis=1)
    assert solids.to_dict() == {**dict.fromkeys("ABCDEFGH", 5.0), "I": 10.0}


def test_table_1_columns_agree_with_the_printed_composition():
    for _, row in table1().iterrows():
        printed = {
            word.split("% ")[1]: float(word.split("%")[0])
            for word in row["composition"].split(" + ")
        }
        assert {name: row[name] for name in SOLUTES if row[name]} == printed


def test_table_1_runs_from_dextran_to_dense_mannitol():
    k_m = table1()["k_m"]
    assert (k_m.idxmax(), k_m.max()) == ("A", 1.9e-3)
    assert (k_m.idxmin(), k_m.min()) == ("I", 2.8e-4)
    assert table1()["std_percent"].between(0, 10).all()


@given(
    st.dictionaries(
        st.sampled_from(SOLUTES), st.integers(0, 1000).map(lambda n: n / 10), min_size=1
    )
)
def test_written_composition_is_read_back(fractions):
    text = " + ".join(f"{percent:g}% {solute}" for solute, percent in fractions.items())
    assert percentages(text) == fractions


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("4% sucrose + 1% glycine", {"sucrose": 4, "glycine": 1}),
        (" .5 %dextran 40+2.% dextran 40 ", {"dextran 40": 2.5}),
        ("5% solids", {"solids": 5}),
        ("sucrose", None),
        ("", None),
        ("4% sucrose +", None),
        ("4%", None),
        ("-4% sucrose", None),
        ("5 dextran", None),
        ("1.2.3% PVP", None),
        ("% PVP", None),
        ("2% PVP + .5 % PVP", {"PVP": 2.5}),
    ],
)
def test_percentages_of_any_solute(text, read):
    assert percentages(text) == read


def test_percentages_of_table_1_are_its_columns():
    for _, row in table1().iterrows():
        expected = {name: row[name] for name in SOLUTES if row[name]}
        assert percentages(row["composition"]) == expected


def test_manifest_is_read_as_written(manifest):
    path = manifest(
        "A,a.png,1.9e-3,5% dextran,2.3", "B,b.png,0.0011,,", "C,c.png,14E-4,glass,0", header=FULL
    )
    table = read_manifest(path)
    assert list(table["formulation"]) == ["A", "B", "C"]
    assert list(table["image"]) == ["a.png", "b.png", "c.png"]
    assert list(table["k_m"]) == [1.9e-3, 1.1e-3, 1.4e-3]
    assert list(table["composition"].fillna("-")) == ["5% dextran", "-", "glass"]
    assert list(table["std_percent"].fillna(-1)) == [2.3, -1, 0]


def test_optional_columns_are_missing_when_left_out(manifest):
    table = read_manifest(manifest())
    assert table[["composition", "std_percent", "pixel_size_um"]].isna().all(axis=None)
    assert list(table["page"]) == [1, 1, 1]


def test_pages_and_pixel_sizes_are_read(manifest):
    rows = ("A,s.tif,1e-3,2,0.977", "A,s.tif,1e-3,,", "B,b.png,2e-3,1.0,5E-1", "C,c.png,3e-3,1,1")
    table = read_manifest(manifest(*rows, header=PAGES))
    assert list(table["page"]) == [2, 1, 1, 1]
    assert list(table["pixel_size_um"].fillna(-1)) == [0.977, -1, 0.5, 1]


@pytest.mark.parametrize(
    "rows",
    [
        (ROWS[0], "", ROWS[1], ",,", "  , ,", ROWS[2], ""),
        tuple(row + "\r" for row in ROWS),
        tuple(f'"{row.replace(",", chr(34) + ", " + chr(34))}"' for row in ROWS),
        tuple(row.replace(",", " , ") for row in ROWS),
        tuple(row + "," for row in ROWS),
    ],
    ids=["blank lines", "Windows line ends", "quotation marks", "spaces", "trailing commas"],
)
def test_layout_of_the_csv_does_not_matter(manifest, rows):
    expected = read_manifest(manifest(folder="plain"))
    table = read_manifest(manifest(*rows))
    assert table.reset_index(drop=True).equals(expected)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_unicode_is_read_with_and_without_byte_order_mark(manifest, encoding):
    rows = (f"{ROWS[0]},5 % saccharose – gefriergetrocknet µm", f"{ROWS[1]},", f"{ROWS[2]},")
    header = "formulation,image,k_m,composition"
    table = read_manifest(manifest(*rows, header=header, encoding=encoding))
    assert list(table.columns[:3]) == ["formulation", "image", "k_m"]
    assert table["composition"][0] == "5 % saccharose – gefriergetrocknet µm"


GERMAN = (
    "formulation;image;k_m;composition;std_percent\n"
    'A;ä.tif;1,2E-03;"5 % Trehalose; Lösung B, 1,5";5,0\nB;b.tif;1,0E-03;;6,1\nC;c.tif;0,00085;;'
)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (GERMAN, "utf-8"),
        (GERMAN, "cp1252"),
        (f"sep=;\n{GERMAN}", "utf-8-sig"),
        (f"Liste;1,5\n\n{GERMAN}", "utf-16"),
        (GERMAN.replace(";", "\t").replace("e\t ", "e; "), "utf-16-le"),
        (GERMAN.replace(";", ",").replace("e, ", "e; ").replace("1,5", "1.5"), "cp1252"),
    ],
)
def test_manifest_of_a_german_excel_is_read(tmp_path, text, encoding):
    if "formulation," in text:  # with decimal points, and what has a comma in quotation marks
        text = text.replace("1,", "1.").replace("5,0", "5.0").replace("6,1", "6.1")
        text = text.replace("0,0", "0.0")
    path = tmp_path / "manifest.txt"
    path.write_bytes(text.encode(encoding))
    table = read_manifest(path)
    assert list(table["k_m"]) == [1.2e-3, 1e-3, 8.5e-4]
    assert list(table["image"]) == ["ä.tif", "b.tif", "c.tif"]
    assert list(table["std_percent"].fillna(0)) == [5.0, 6.1, 0]
    assert table["composition"][0].startswith("5 % Trehalose; Lösung B, 1")


def test_manifest_may_be_an_xlsx_file(tmp_path):
    book = openpyxl.Workbook()
    book.create_sheet("set").append(["formulation", "image", "k_m", "page"])
    for row in (["A", "a.tif", 1.2e-3, 2], ["B", "b.tif", 1e-5, None], [3, "c.tif", "8.5e-4", 1]):
        book["set"].append(row)
    book.save(tmp_path / "manifest.xlsx")
    table = read_manifest(tmp_path / "manifest.xlsx")
    assert list(table["k_m"]) == [1.2e-3, 1e-5, 8.5e-4]
    assert list(table["formulation"]) == ["A", "B", "3"]
    assert list(table["page"]) == [2, 1, 1]


@pytest.mark.parametrize("there", ["NFC", "NFD"])
@pytest.mark.parametrize("written", ["NFC", "NFD"])
@pytest.mark.parametrize("sign", ["/", "\\"])
def test_image_is_found_by_another_spelling_of_its_path(tmp_path, there, written, sign):
    path = tmp_path / unicodedata.normalize(there, "Lösung") / unicodedata.normalize(there, "é.tif")
    path.parent.mkdir()
    path.touch()
    name = unicodedata.normalize(written, f"Lösung{sign}é.tif")
    assert image_path(tmp_path, name) == path
    assert image_path(tmp_path, f"none{sign}é.tif") == tmp_path / f"none{sign}é.tif"


@pytest.mark.parametrize("name", ["NA", "None", "null", "1", "5% PVP"])
def test_formulation_may_have_any_name(manifest, name):
    table = read_manifest(manifest(f"{name},d.png,1e-3", *ROWS))
    assert table["formulation"][0] == name


def test_formulation_may_have_several_images(manifest):
    table = read_manifest(manifest(*ROWS, "A,a2.png,1.9e-3", "A,a3.png,0.0019"))
    assert table["formulation"].value_counts()["A"] == 3


@pytest.mark.parametrize("k_m", ["0", "-1e-3", "abc", "nan", "inf", "1e999", "1.4 e-3", "1,4e-3"])
def test_k_m_that_is_no_positive_number_is_refused(manifest, k_m):
    path = manifest(ROWS[0], "", f'B,b.png,"{k_m}"', ROWS[2])
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(path) in str(caught.value)
    assert f"row 4: k_m = {k_m!r} is not a positive number" in str(caught.value)


@pytest.mark.parametrize(
    "k_m", ["1.9", "9.9e-7", "0.11", "0.1000001", "1e-320", "1e308", "47996", "1" * 5000]
)
def test_k_m_in_another_unit_is_refused(manifest, k_m):
    path = manifest(ROWS[0], f"B,b.png,{k_m}", ROWS[2])
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    message = str(caught.value)
    if len(k_m) < 50:
        assert message.startswith(f"{path}: row 3: k_m = {k_m!r} is not plausible for a freeze")
        assert "1e-6 to 1e-1); is it in 10⁻³ m² s⁻¹, or a resistance?" in message
    assert len(message) < 400 + len(str(path))


def test_plausible_k_m_pass_to_the_bounds(manifest):
    path = manifest("A,a.png,1e-6", "B,b.png,1e-1", "C,c.png,0.1")
    assert list(read_manifest(path)["k_m"]) == [1e-6, 0.1, 0.1]


def test_resistance_formula_of_the_message_holds():
    resistance = float(product_resistance(1.4e-3, 0.005, 245.0))
    assert 8.314462618 * 245.0 * 0.005 / (0.01801528 * resistance) == pytest.approx(1.4e-3)


REFUSED = {
    "missing column": (["A,a.png"], "formulation,image", "column k_m is missing, the file has"),
    "misspelt column": (ROWS, "formulation,picture,k_m", "column image is missing"),
    "decimal commas": (["A,a.png,1,9e-3", "B,b.png,1,1e-3"], "", "decimal point, as in 1.4e-3"),
    "nearly a known column": (
        [f"{row},2" for row in ROWS],
        "formulation,image,k_m,std_percnt",
        "column 'std_percnt' is not known; did you mean 'std_percent'",
    ),
    "one decimal comma": (
        [*ROWS, "D,d.png,1,4e-3"],
        "",
        "line 5 holds more values than .*quotation marks",
    ),
    "no formulation": ([*ROWS, ",d.png,1e-3"], "", "row 5 has no formulation; fill it in"),
    "no image": ([*ROWS, "D,,1e-3"], "", "row 5 has no image"),
    "no k_m": ([*ROWS, "D,d.png,"], "", "row 5 has no k_m"),
    "repeated row": ([*ROWS, ROWS[0]], "", "row 5 lists 'a.png' again"),
    "one image under two names": (
        [*ROWS, "D,sub/../a.png,1e-3"],
        "",
        "row 5 lists 'sub/../a.png' again",
    ),
    "two k_m": (
        [*ROWS, "A,a2.png,1.8e-3"],
        "",
        "'A' has the k_m 0.0019, 0.0018 .* give one value",
    ),
    "repeated column": (
        [f"{row},2e-3" for row in ROWS],
        "formulation,image,k_m,k_m",
        "column 'k_m' stands there twice; keep one",
    ),
    "repeated column with spaces": (
        [f"{row},2e-3" for row in ROWS],
        'formulation,image,k_m, "k_m "',
        "column 'k_m' stands there twice",
    ),
    "repeated optional column": (
        [f"{row},5%,6%" for row in ROWS],
        "formulation,image,k_m,composition,composition",
        "column 'composition' stands there twice",
    ),
    "name of the summary row": (
        [*ROWS, "mean,d.png,1e-3"],
        "",
        "row 5: a formulation cannot be called 'mean', .*Table 2.*; rename it",
    ),
    "name in two cases": (
        ["sucrose,a.png,1e-3", *ROWS, "Sucrose,d.png,1e-3"],
        "",
        "row 6: formulation 'Sucrose' is 'sucrose' in row 2, .*; write it in one way",
    ),
    "name with and without space": (
        ["5% PVP,a.png,1e-3", *ROWS[1:], "5 % PVP,d.png,1e-3"],
        "",
        "row 5: formulation '5 % PVP' is '5% PVP' in row 2",
    ),
    "name with two kinds of accent": (
        ["caf\u00e9,a.png,1e-3", *ROWS[1:], "cafe\u0301,d.png,1e-3"],
        "",
        "in row 2, .*; write it in one way",
    ),
    "two formulations": (ROWS[:2], "", r"2 formulation\(s\); .* at least 3: add"),
    "no rows": ([","], "", r"0 formulation\(s\)"),
    "std in words": (
        ["A,a.png,1e-3,,abc"] + [f"{r},," for r in ROWS[1:]],
        FULL,
        "row 2: std_percent = 'abc'",
    ),
    **{
        f"page {page}": (
            [f"{ROWS[0]},{page},", f"{ROWS[1]},,", f"{ROWS[2]},,"],
            PAGES,
            f"row 2: page = '{page}' is not a whole number from 1; correct it",
        )
        for page in ("0", "-1", "1.5", "two", "nan", "inf", "1e30")
    },
    **{
        f"pixel size {size}": (
            [f"{ROWS[0]},,", f"{ROWS[1]},,{size}", f"{ROWS[2]},,"],
            PAGES,
            f"row 3: pixel_size_um = '{size}' is not a number from 0.0001 to 50; give .* in µm",
        )
        for size in ("0", "-1", "976.6", "9.8e-7", "1 µm", "nan", "inf")
    },
    "repeated page": (
        ["A,s.tif,1e-3,2,", "B,s.tif,1e-3,1,", "C,./s.tif,1e-3,2,"],
        PAGES,
        r"row 4 lists '\./s\.tif' again, page 2; a micrograph must stand there once",
    ),
    "repeated first page": (
        ["A,s.tif,1e-3,1,", "B,b.png,1e-3,1,", "C,s.tif,1e-3,,"],
        PAGES,
        r"row 4 lists 's\.tif' again; ",
    ),
    "negative std": (
        [f"{r},," for r in ROWS[:2]] + ["C,c.png,1e-3,,-2"],
        FULL,
        "row 4: std_percent = '-2'",
    ),
}


@pytest.mark.parametrize(("rows", "header", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_manifest_is_refused(manifest, rows, header, words):
    path = manifest(*rows, header=header or "formulation,image,k_m")
    with pytest.raises(ManifestError, match=words) as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_empty_headings_may_repeat(manifest):
    path = manifest(*[f"{row},," for row in ROWS], header="formulation,image,k_m,,")
    assert list(read_manifest(path)["formulation"]) == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("rows", "header"),
    [
        (ROWS, "{},image,k_m"),
        ([*ROWS, "D,d.png,{}"], ""),
        ([*ROWS, "D,{},1e-3", "E,{},1e-3"], ""),
        (["{},d.png,1e-3", "{},e.png,2e-3", *ROWS], ""),
        ([f"{ROWS[0]},,{{}}", *[f"{row},," for row in ROWS[1:]]], FULL),
    ],
    ids=["heading", "k_m", "image", "formulation", "std_percent"],
)
def test_what_a_message_quotes_is_short_and_printable(tmp_path, rows, header):
    path = tmp_path / "manifest.csv"
    lines = [header or "formulation,image,k_m", *rows]
    path.write_text("\n".join(line.replace("{}", "\x1b[31m" + "x" * 5000) for line in lines))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500 + len(str(path))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        b'formulation,image,k_m\n"A,a.png,1\n',
        b"\0" * 5000,
        b"formulation,image,k_m\n" + b"A,\0" + b"\0" * 5000 + b",1e-3\n",
    ],
    ids=["empty", "blank", "open quotation mark", "NUL bytes", "NUL inside"],
)
def test_unreadable_manifest_is_refused(tmp_path, content):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"cannot be read as CSV .*UTF-8") as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["none.csv", "."])
def test_missing_manifest_is_refused_with_the_place_looked_at(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ManifestError, match=r"no such manifest .*CSV file, or 'synthetic'"
    ) as caught:
        read_manifest(tmp_path.relative_to(tmp_path) / name)
    assert str((tmp_path / name).resolve()) in str(caught.value)


def test_k_m_keeps_every_digit(manifest):
    values = np.random.default_rng(0).uniform(1e-4, 2e-3, 3)
    path = manifest(*[f"{n},{n}.png,{float(v)!r}" for n, v in zip("ABC", values, strict=True)])
    assert list(read_manifest(path)["k_m"]) == list(values)
