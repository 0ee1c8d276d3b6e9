"""Files that tell the classes of pictures, as people and ImageNet write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from topfive.errors import UsageError
from topfive.evaluation import truth_files
from topfive.evaluation.truth_files import Entry
from topfive.networks import labels

LABELS = labels.load("imagenet")


def read(folder: Path, text: str | bytes, name: str, numbers: str | None = None) -> list[Entry]:
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [*truth_files.read(file, LABELS, numbers).entries]


def write_meta(folder: Path) -> None:
    """Write a `meta.mat` as the development kit's: an array of structures."""
    fields = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O")]
    synsets = np.array(
        [[(1, "n02119789", "kit fox")], [(2, "n02100735", "English setter")],
         [(490, "n01440764", "tench")], [(1001, "n00001740", "entity")]], fields,
    )  # fmt: skip
    scipy.io.savemat(folder / "meta.mat", {"synsets": synsets})


@pytest.mark.parametrize(
    "text",
    [
        "file,label\na.jpg,tench\n\"b, c.jpg\",great white shark\n",
        "FILE;WNID;note\na.jpg;n01440764;x\n\"b, c.jpg\";n01484850;y\n",
        "label,source,index\nwrong,a.jpg,0\nwrong,\"b, c.jpg\",2\n",
        "\ufefffilename,class\r\na.jpg,tench\r\n\r\n\"b, c.jpg\",great_white_shark\r\n",
        "ImageId,PredictionString\na.jpg,n01440764 85 1 499 272\n\"b, c.jpg\",n01484850 1 2 3 4\n",
    ],
)  # fmt: skip
def test_a_table_has_a_column_for_pictures_and_one_for_classes(tmp_path: Path, text: str) -> None:
    entries = read(tmp_path, text, "labels.csv")
    assert [(entry.name, entry.index) for entry in entries] == [("a.jpg", 0), ("b, c.jpg", 2)]


def test_a_table_may_have_tabs_between(tmp_path: Path) -> None:
    assert read(tmp_path, "file\tlabel\na b.jpg\ttench\n", "x.tsv") == [Entry(2, "a b.jpg", 0)]


def test_a_text_has_names_and_classes_or_classes_alone(tmp_path: Path) -> None:
    named = read(tmp_path, "a.jpg 65\nmy photo.jpg 0\n\n", "val.txt")
    assert named == [Entry(1, "a.jpg", 65), Entry(2, "my photo.jpg", 0)]
    alone = read(tmp_path, "great white shark\r\nn01440764\r\n", "val.txt")
    assert alone == [Entry(1, None, 2), Entry(2, None, 0)]
    # A name that begins with an id is a name.
    ids = read(tmp_path, "n01440764_1.JPEG n01440764\n", "val.txt")
    assert ids == [Entry(1, "n01440764_1.JPEG", 0)]


def test_numbers_with_a_0_among_them_are_indices(tmp_path: Path) -> None:
    write_meta(tmp_path)
    assert [entry.index for entry in read(tmp_path, "0\n490\n", "val.txt")] == [0, 490]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("490\n1\n", "ILSVRC2012_validation_ground_truth.txt"),
        ("a 490\nb 1\n", "v.txt"),
        ("file,label\na,490\nb,1\n", "v.csv"),
    ],
)
def test_numbers_that_may_be_either_are_not_guessed(tmp_path: Path, text: str, name: str) -> None:
    with pytest.raises(UsageError, match="say which with --numbers index or --numbers ilsvrc"):
        read(tmp_path, text, name)
    assert [one.index for one in read(tmp_path, text, name, "index")] == [490, 1]
    with pytest.raises(UsageError, match=r"meta\.mat: no such file"):
        read(tmp_path, text, name, "ilsvrc")
    write_meta(tmp_path)
    for numbers in (None, "ilsvrc"):
        assert [one.index for one in read(tmp_path, text, name, numbers)] == [0, 278]
    assert [one.index for one in read(tmp_path, text, name, "index")] == [490, 1]


def test_a_column_named_index_needs_no_word(tmp_path: Path) -> None:
    write_meta(tmp_path)
    assert read(tmp_path, "file,index\na,490\n", "v.csv") == [Entry(2, "a", 490)]


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file, or so", b"\x80\x04\x95."])
def test_another_meta_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "meta.mat").write_bytes(content)
    with pytest.raises(UsageError, match=r"not the meta\.mat of ImageNet's"):
        read(tmp_path, "1\n", "v.txt")


def test_a_meta_file_with_another_table_is_refused(tmp_path: Path) -> None:
    scipy.io.savemat(tmp_path / "meta.mat", {"other": np.arange(3)})
    with pytest.raises(UsageError, match=r"not the meta\.mat of ImageNet's"):
        read(tmp_path, "1\n", "v.txt")


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("file,label\na,golfish\n", "v.csv", "v.csv, line 2: 'golfish' is .* Did you mean goldf"),
        ("file,label\na,crane\n", "v.csv", "line 2: 'crane' is the label of several classes"),
        ("tench\ngolfish\n", "v.txt", "line 2: 'golfish'"),
        ("tench\n\ngoldfish\n", "v.txt", "line 2: '' is none"),
        ("a.jpg golfish\n", "v.txt", "line 1: 'golfish'"),
        ("a.jpg tench\nb.jpg\n", "v.txt", "line 2: expected a picture's name and its class"),
        ("crane\n", "v.txt", "line 1: 'crane' is the label of several"),
        ("0\n1000\n", "v.txt", "line 2: '1000' is none"),
        ("file,index\na,1000\n", "v.csv", "a number from 0 to 999"),
        ("file,label\na\n", "v.csv", "line 2: expected a picture's name and its class"),
        ("file,label\n,tench\n", "v.csv", "line 2: expected a picture's name and its class"),
        ("file,label\na,\n", "v.csv", "line 2: expected a picture's name and its class"),
        ("a.jpg,tench\n", "v.csv", "expected a header with a column for the pictures .source, "),
        ("", "v.csv", "expected a header"),
        ("file,label\n", "v.csv", "no picture in it"),
        (" \n\n", "v.txt", "no picture in it"),
        ('file,label\na,"tench\n', "v.csv", "line 2: unexpected end of data"),
        ("file,label\n" + "a" * 200_000 + ",tench\n", "v.csv", "line 2: field larger than"),
        (b"file,label\na\0,tench\n", "v.csv", "NUL bytes in it; expected a text in UTF-8"),
        ("file,label\na,tench\n".encode("utf-16-le"), "v.csv", "NUL bytes in it"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(
    tmp_path: Path, text: str | bytes, name: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, text, name)


def test_a_file_that_cannot_be_read_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match=r"no\.csv: cannot be read: No such file"):
        truth_files.read(tmp_path / "no.csv", LABELS)
    with pytest.raises(UsageError, match="cannot be read"):
        truth_files.read(Path("a\0b.csv"), LABELS)
    with pytest.raises(UsageError, match="unknown numbers 'keras'; expected one of index, ilsvrc"):
        read(tmp_path, "1", "v.txt", "keras")
    monkeypatch.setattr(truth_files, "MAX_BYTES", 10)
    with pytest.raises(UsageError, match="over the limit of 10 bytes"):
        read(tmp_path, "tench\n" * 2, "v.txt")


def test_names_may_be_bytes_that_are_no_text(tmp_path: Path) -> None:
    entries = read(tmp_path, b"file,label\n\xff.jpg,tench\n", "v.csv")
    assert entries[0].name == "\udcff.jpg"


def own(*names: str) -> tuple[labels.Label, ...]:
    return tuple(labels.Label("", name) for name in names)


def test_numbers_are_labels_where_classes_are_called_so(tmp_path: Path) -> None:
    digits, file = own("1", "2", "3"), tmp_path / "val.csv"
    file.write_text("file,label\na.jpg,2\n")
    assert [one.index for one in truth_files.read(file, digits).entries] == [1]
    assert [one.index for one in truth_files.read(file, digits, "index").entries] == [2]
    file.write_text("file,index\na.jpg,2\n")
    assert [one.index for one in truth_files.read(file, digits).entries] == [2]


def test_numbers_are_indices_where_no_class_is_imagenets(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("a.jpg 1\nb.jpg 2\n")
    found = truth_files.read(tmp_path / "val.txt", own("cat", "dog", "bird"))
    assert [one.index for one in found.entries] == [1, 2]


TABLE = ["tench", "goldfish", "robin"]


@pytest.mark.parametrize(
    ("header", "first", "taken"),
    [
        (",file,label", range(3), "label"),
        ("Unnamed: 0,file,label", range(3), "label"),
        ("index,file,label", range(3), "label"),
        ("index,file,label", range(1, 4), "label"),
        ("index,file,class", (2, 0, 1), "class"),  # in another order
        ("Index ,file,label", (0, 1, 15), "index"),  # the same as the labels
        ("wnid,file,label", ("n01440764", "n01443537", "n01558993"), "wnid"),
    ],
)
def test_a_row_number_is_no_class(
    tmp_path: Path, header: str, first: Sequence[object], taken: str
) -> None:
    file = tmp_path / "x.csv"
    rows = "".join(f"{one},{name}.jpg,{name}\n" for one, name in zip(first, TABLE, strict=True))
    file.write_text(f"{header}\n{rows}")
    found = truth_files.read(file, LABELS)
    assert [one.index for one in found.entries] == [0, 1, 15]
    assert found.told == f"x.csv, column {taken}"


def test_row_numbers_may_have_gaps_where_they_are_many(tmp_path: Path) -> None:
    rows = "".join(f"{place},{place}.jpg,robin\n" for place in range(20) if place != 7)
    assert {one.index for one in read(tmp_path, f"index,file,label\n{rows}", "x.csv")} == {15}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label,class\na,tench,goldfish\n", "--class-column label or --class-column class"),
        ("file,index,label\na,5,tench\nb,9,tench\n", "--class-column index or .* label"),
        ("file,label,class\na,3,tench\nb,5,goldfish\n", "label and class may both hold"),
        ("file,index\na,0\nb,1\n", "index may number the rows .* --class-column index, or"),
        ("file,index\na,2\nb,1\n", "index may number the rows"),
        ("file,species\na,tench\n", "--class-column names another one for the classes"),
    ],
)
def test_two_columns_for_the_classes_are_a_question(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(tmp_path, text, "x.csv")


def test_a_column_can_be_named(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("index,file,label,Art\n0,a,tench,goldfish\n1,b,tench,robin\n")

    def taken(column: str) -> list[int]:
        return [one.index for one in truth_files.read(file, LABELS, None, column).entries]

    assert taken("index") == [0, 1]
    assert taken("label") == [0, 0]
    assert taken("art") == [1, 15]
    with pytest.raises(UsageError, match="and the column 'genus'"):
        taken("genus")
    (tmp_path / "x.txt").write_text("a tench\n")
    with pytest.raises(UsageError, match="--class-column is asked of a table"):
        truth_files.read(tmp_path / "x.txt", LABELS, None, "label")
