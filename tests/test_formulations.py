"""Table 1 and manifests: what is read, and what is refused with which words."""

import numpy as np
import pytest
from conftest import ROWS
from hypothesis import given
from hypothesis import strategies as st

from fesemlib.formulations import SOLUTES, ManifestError, parse_composition, read_manifest, table1

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
    assert parse_composition(text) == {**dict.fromkeys(SOLUTES, 0.0), **fractions}


def test_repeated_solute_adds_up():
    assert parse_composition("2% PVP + .5 % PVP")["PVP"] == 2.5


@pytest.mark.parametrize(
    "text",
    ["", "5 dextran", "5%", "5% sugar", "-1% PVP", "1.2.3% PVP", "2% PVP, 3% dextran", "% PVP"],
)
def test_other_composition_is_refused(text):
    with pytest.raises(ValueError, match=r"not understood; write percentages of dextran"):
        parse_composition(text)


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
    assert table[["composition", "std_percent"]].isna().all(axis=None)


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


REFUSED = {
    "missing column": (["A,a.png"], "formulation,image", "column k_m is missing, the file has"),
    "misspelt column": (ROWS, "formulation,picture,k_m", "column image is missing"),
    "semicolons": (
        [row.replace(",", ";") for row in ROWS],
        "formulation;image;k_m",
        "separated by ';'",
    ),
    "tabs": ([row.replace(",", "\t") for row in ROWS], "formulation\timage\tk_m", "separated by"),
    "decimal commas": (["A,a.png,1,9e-3", "B,b.png,1,1e-3"], "", "decimal point, as in 1.4e-3"),
    "one decimal comma": ([*ROWS, "D,d.png,1,4e-3"], "", "cannot be read as CSV .*line 5"),
    "no formulation": ([*ROWS, ",d.png,1e-3"], "", "row 5 has no formulation; fill it in"),
    "no image": ([*ROWS, "D,,1e-3"], "", "row 5 has no image"),
    "no k_m": ([*ROWS, "D,d.png,"], "", "row 5 has no k_m"),
    "repeated row": ([*ROWS, ROWS[0]], "", "row 5 lists a.png again"),
    "one image under two names": (
        [*ROWS, "D,sub/../a.png,1e-3"],
        "",
        "row 5 lists sub/../a.png again",
    ),
    "two k_m": ([*ROWS, "A,a2.png,1.8e-3"], "", "A has the k_m 0.0019, 0.0018 .* give one value"),
    "two formulations": (ROWS[:2], "", r"2 formulation\(s\); .* at least 3: add"),
    "no rows": ([","], "", r"0 formulation\(s\)"),
    "std in words": (
        ["A,a.png,1e-3,,abc"] + [f"{r},," for r in ROWS[1:]],
        FULL,
        "row 2: std_percent = 'abc'",
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


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        "formulation,image,k_m,composition\nA,a.png,1,señal".encode("latin-1"),
        "formulation,image,k_m\nA,a.png,1".encode("utf-16"),
        b'formulation,image,k_m\n"A,a.png,1\n',
    ],
    ids=["empty", "blank", "Latin-1", "UTF-16", "open quotation mark"],
)
def test_unreadable_manifest_is_refused(tmp_path, content):
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=r"cannot be read as CSV .*UTF-8") as caught:
        read_manifest(path)
    assert str(caught.value).startswith(f"{path}: ")


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
