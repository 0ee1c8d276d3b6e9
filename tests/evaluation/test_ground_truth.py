"""Labelled folders as people have them: by ids, indices, labels, and files beside them."""

from __future__ import annotations

import tarfile
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import scipy.io

from topfive.errors import PictureError, UsageError
from topfive.evaluation import ground_truth
from topfive.evaluation.ground_truth import NO_CLASS, GroundTruth
from topfive.networks import labels

LABELS = labels.load("imagenet")
Form = Literal["NFC", "NFD"]
FORMS: tuple[Form, Form] = ("NFC", "NFD")


def fill(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no picture is opened here")
    return folder


def read(folder: Path, truth: Path | None = None, numbers: str | None = None) -> GroundTruth:
    return ground_truth.read(folder, LABELS, truth, numbers)


def told(truth: GroundTruth) -> dict[str, int]:
    """Return the classes by the names in the folder, as iterating gives them."""
    found = [(source.name.removeprefix(f"{truth.folder}/"), index) for source, index in truth]
    assert len(found) == len({name for name, _ in found}) == len(truth)
    return dict(found)


@pytest.mark.parametrize(
    ("names", "indices", "layout"),
    [
        (["n01440764/a.JPEG", "n01443537/b.JPEG"], [0, 1], "folders named by WordNet id"),
        (["0/a.jpg", "999/b.jpg"], [0, 999], "folders named by index"),
        (["tench/a.jpg", "Great White Shark/b.jpg"], [0, 2], "folders named by label"),
        (["n01440764_1.JPEG", "n01443537.png"], [0, 1], "file names that begin with a WordNet id"),
        # Stanford's dogs; what `batch --copy-to` makes; Tiny ImageNet; Imagenette.
        (["n02085620-Chihuahua/n02085620_7.jpg"], [151], "folders named by WordNet id"),
        (["crane-n03126707/a.jpg"], [517], "folders named by WordNet id"),
        (["train/n01443537/images/n01443537_0.JPEG"], [1], "folders named by WordNet id"),
        (["train/n01440764/a.JPEG", "val/n01440764/a.JPEG"], [0, 0], "folders named by WordNet id"),
        # A part of a data set, numbered: the id is what counts.
        (["3/n01440764_a.JPEG"], [0], "file names that begin with a WordNet id"),
        (["n01440764/12/a.JPEG"], [0], "folders named by WordNet id"),
        (["tench/1.jpg", "z/0/b.jpg"], [0, 0], "folders named by label and folders named by index"),
    ],
)
def test_the_class_stands_in_a_name(
    tmp_path: Path, names: list[str], indices: list[int], layout: str
) -> None:
    truth = read(fill(tmp_path, names))
    assert told(truth) == dict(zip(names, indices, strict=True))
    assert truth.layout.startswith(layout)
    assert truth.classes == tuple(sorted(set(indices)))
    assert truth.unlabelled == ()


def test_files_of_no_class_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    names = ["tench/a.jpg", "labels.csv", "x.jpg", "docs/how.txt", ".hidden/b.jpg", "tench/.c.jpg"]
    truth = read(fill(tmp_path, names))
    assert told(truth) == {"tench/a.jpg": 0}
    left = [str(tmp_path / name) for name in ("labels.csv", "x.jpg", "docs/how.txt")]
    assert sorted(truth.unlabelled) == sorted(left)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["golfish/a.jpg", "tench/b.jpg"], r"golfish/a\.jpg': 'golfish' .* Did you mean goldfish"),
        (["crane/a.jpg"], "'crane' is the label of several classes; name it n02012849 or n031"),
        (["0/b.jpg", "1000/a.jpg"], "'1000' is none of the 1,000 classes"),
        (["1001/a.jpg"], "'1001' is none of the 1,000 classes"),
        (["n00000001_a.jpg"], "'n00000001' is none of the 1,000 classes"),
        (["a.jpg", "b.jpg"], "no picture whose class is known; expected folders named by Word"),
        ([], "no picture whose class is known"),
    ],
)
def test_an_unknown_class_is_one_clear_error(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read(fill(tmp_path, names))


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    for name in ("no", "a.jpg"):
        fill(tmp_path, ["a.jpg"])
        with pytest.raises(UsageError, match=f"{name}: expected a folder, an archive or a bucket"):
            read(tmp_path / name)
    with pytest.raises(UsageError, match="none is given"):
        read(fill(tmp_path, ["tench/a.jpg"]), numbers="index")


def test_an_archive_is_a_folder(tmp_path: Path) -> None:
    names = ["n01440764/b.jpg", "n01443537/a.jpg"]
    folder = fill(tmp_path / "data", names)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as zipped:
        for name in names:
            zipped.write(folder / name, name)
    for ending, mode in ((".tar", "w"), (".tar.gz", "w:gz")):
        with tarfile.open(tmp_path / f"x{ending}", mode) as tar:  # type: ignore[call-overload]
            tar.add(folder, ".")
    for ending in (".zip", ".tar", ".tar.gz"):
        truth = read(tmp_path / f"x{ending}")
        assert told(truth) == {"n01440764/b.jpg": 0, "n01443537/a.jpg": 1}
        assert len([source.read() for source, _ in truth]) == 2


def test_archives_of_a_class_each_lie_in_a_folder(tmp_path: Path) -> None:
    for wnid in ("n01440764", "n01443537"):
        file = fill(tmp_path / "unpacked", [f"{wnid}_1.JPEG"]) / f"{wnid}_1.JPEG"
        (tmp_path / "train").mkdir(exist_ok=True)
        with tarfile.open(tmp_path / "train" / f"{wnid}.tar", "w") as tar:
            tar.add(file, file.name)
    assert told(read(tmp_path / "train")) == {
        "n01440764.tar/n01440764_1.JPEG": 0, "n01443537.tar/n01443537_1.JPEG": 1,
    }  # fmt: skip


def test_a_broken_archive_is_a_fault_in_its_place(tmp_path: Path) -> None:
    fill(tmp_path, ["tench/a.jpg"])
    with tarfile.open(tmp_path / "rest.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        tar.add(tmp_path / "tench/a.jpg", "n01443537_1.jpg")
    with (tmp_path / "rest.tar").open("r+b") as file:
        file.truncate(1024)
    truth = read(tmp_path)
    assert told(truth) == {"rest.tar/n01443537_1.jpg": 1, "tench/a.jpg": 0, "rest.tar": NO_CLASS}
    assert truth.classes == (0, 1)


def test_a_folder_may_be_called_like_a_list(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path, ["@mine/tench/a.jpg"])
    monkeypatch.chdir(tmp_path)
    assert list(read(Path("@mine")).truths) == ["./@mine/tench/a.jpg"]
    assert list(ground_truth.read("@mine/", LABELS).truths.values()) == [0]
    monkeypatch.chdir(tmp_path / "@mine")
    assert list(read(Path()).truths) == ["./tench/a.jpg"]


def test_a_table_tells_the_classes(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", ["a.jpg", "in/b, c.jpg", "in/d.jpg", "e.jpg"])
    table = folder / "labels.csv"
    table.write_text(
        'file,label\na.jpg,tench\n"in/b, c.jpg",goldfish\n'
        f"{folder}/in/d.jpg,n01440764\ngone.jpg,goldfish\na.jpg,tench\n"
    )
    truth = read(folder, table)
    assert told(truth) == {"a.jpg": 0, "in/b, c.jpg": 1, "in/d.jpg": 0, "gone.jpg": 1}
    assert truth.unlabelled == (str(folder / "e.jpg"),)
    assert truth.layout == "labels.csv, column label, by their names"
    gone = next(source for source, _ in truth if source.name.endswith("gone.jpg"))
    with pytest.raises(PictureError, match="no such file"):
        gone.read()


def test_kaggles_table_has_names_without_their_ending(tmp_path: Path) -> None:
    folder = fill(tmp_path / "val", ["ILSVRC2012_val_00000001.JPEG", "both.jpg", "both.png"])
    table = tmp_path / "LOC_val_solution.csv"
    table.write_text("ImageId,PredictionString\nILSVRC2012_val_00000001,n01751748 1 2 3 4\n")
    assert told(read(folder, table)) == {"ILSVRC2012_val_00000001.JPEG": 65}
    table.write_text(
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01751748\nboth,n01440764\n"
    )
    assert "both" in told(read(folder, table))  # which of the two is not guessed: it is missing


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "in/../../a.jpg", "../data/a.jpg", ".", "./"]
)
def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / "data", ["a.jpg"])
    (tmp_path / "x.csv").write_text(f"file,label\na.jpg,tench\n{name},tench\n")
    with pytest.raises(UsageError, match=r"x\.csv, line 3: .* leads out of the folder"):
        read(folder, tmp_path / "x.csv")


def test_two_classes_for_one_picture_are_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", ["a.jpg"])
    (tmp_path / "x.csv").write_text("file,label\na.jpg,tench\n./a.jpg,goldfish\n")
    with pytest.raises(
        UsageError, match=r"line 3: '\./a\.jpg' has another class in a line before it"
    ):
        read(folder, tmp_path / "x.csv")


def test_a_table_of_another_folder_is_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", ["a.jpg"])
    (tmp_path / "x.csv").write_text("file,label\nb.jpg,tench\n")
    with pytest.raises(UsageError, match=r"none of the pictures .*; the first is 'b\.jpg'"):
        read(folder, tmp_path / "x.csv")


def test_classes_alone_go_by_the_order_of_the_names(tmp_path: Path) -> None:
    names = [f"ILSVRC2012_val_{number:08}.JPEG" for number in (3, 1, 2)]
    folder = fill(tmp_path / "val", [*names, "README.txt"])
    lines = tmp_path / "truth.txt"
    lines.write_text("0\n65\n970\n")
    truth = read(folder, lines)
    assert told(truth) == dict(zip(sorted(names), [0, 65, 970], strict=True))
    assert truth.unlabelled == (str(folder / "README.txt"),)
    assert truth.layout == "truth.txt, a line a picture, in the order of their names"
    with tarfile.open(tmp_path / "val.tar", "w") as tar:
        for name in names:
            tar.add(folder / name, name)
    assert told(read(tmp_path / "val.tar", lines)) == told(truth)
    lines.write_text("0\n65\n")
    with pytest.raises(UsageError, match=r"has 2 classes without names, and .* 3 pictures"):
        read(folder, lines)
    fill(folder, ["in/x.jpg"])
    with pytest.raises(UsageError, match=r"expected in one folder; received 'in/x\.jpg'"):
        read(folder, lines)


def test_pictures_need_no_ending_to_go_by_their_order(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", ["b", "a"])
    (tmp_path / "t.txt").write_text("tench\ngoldfish\n")
    assert told(read(folder, tmp_path / "t.txt")) == {"a": 0, "b": 1}


def test_each_pass_finds_the_pictures_that_were_found_first(tmp_path: Path) -> None:
    truth = read(fill(tmp_path, ["tench/a.jpg", "tench/b.jpg"]))
    (tmp_path / "tench/a.jpg").unlink()
    fill(tmp_path, ["tench/c.jpg"])
    assert told(truth) == {"tench/b.jpg": 0, "tench/a.jpg": 0}
    with pytest.raises(PictureError, match="no such file"):
        [source.read() for source, _ in truth]


def test_pictures_without_classes_are_taken_without_where_that_is_allowed(tmp_path: Path) -> None:
    labelled = fill(tmp_path / "labelled", ["tench/a.jpg"])
    assert told_in(ground_truth.read_or_unlabelled(labelled, LABELS)) == [("tench/a.jpg", 0)]
    folder = fill(tmp_path / "plain", ["a.jpg", "b.jpg"])
    found = ground_truth.read_or_unlabelled(str(folder), LABELS)
    assert isinstance(found, ground_truth.Unlabelled)
    assert "no picture whose class is known" in found.reason
    assert told_in(found) == told_in(found) == [("a.jpg", None), ("b.jpg", None)]


def told_in(found: GroundTruth | ground_truth.Unlabelled) -> list[tuple[str, int | None]]:
    return [(source.name.removeprefix(f"{found.folder}/"), index) for source, index in found]


def test_what_is_named_and_missing_is_an_error_all_the_same(tmp_path: Path) -> None:
    folder = fill(tmp_path / "plain", ["a.jpg"])
    with pytest.raises(UsageError, match="expected a folder, an archive or a bucket"):
        ground_truth.read_or_unlabelled(tmp_path / "missing", LABELS)
    with pytest.raises(UsageError, match=r"no\.csv: cannot be read"):
        ground_truth.read_or_unlabelled(folder, LABELS, tmp_path / "no.csv")
    with pytest.raises(UsageError, match="what numbers are is asked of a file"):
        ground_truth.read_or_unlabelled(folder, LABELS, numbers="index")


def test_many_classes_are_the_same_in_every_layout(tmp_path: Path) -> None:
    expected = list(range(2, 1000, 4))
    wnids = [LABELS[index].wnid for index in expected]
    named = read(fill(tmp_path / "named", [f"{wnid}_x.JPEG" for wnid in wnids]))
    assert (len(named), len(named.classes)) == (250, 250)
    assert list(told(named).values()) == expected
    for number, (index, wnid) in enumerate(zip(expected, wnids, strict=True)):
        label = LABELS[index].name
        spelled = wnid if label in ("crane", "maillot") else label.replace("_", " ")
        fill(tmp_path / "wnid", [f"{wnid}/{number:03}.jpg"])
        fill(tmp_path / "index", [f"{index}/{number:03}.jpg"])
        fill(tmp_path / "label", [f"{spelled}/{number:03}.jpg"])
        fill(tmp_path / "flat", [f"{number:03}.jpg"])
    (tmp_path / "ids.txt").write_text("".join(f"{wnid}\n" for wnid in wnids))
    (tmp_path / "both.txt").write_text(
        "".join(f"{number:03}.jpg {one}\n" for number, one in enumerate(expected))
    )
    (tmp_path / "x.csv").write_text(
        "file,index\n" + "".join(f"{number:03},{one}\n" for number, one in enumerate(expected))
    )
    for folder, truth, numbers in (
        ("wnid", None, None), ("index", None, "index"), ("label", None, None),
        ("flat", "ids.txt", None), ("flat", "both.txt", "index"), ("flat", "x.csv", None),
    ):  # fmt: skip
        found = read(tmp_path / folder, tmp_path / truth if truth else None, numbers)
        by_number = sorted((Path(name).name, one) for name, one in told(found).items())
        assert [one for _, one in by_number] == expected, found.layout


def test_names_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as raised:
        read(fill(tmp_path / "a", ["\x1b[2J/x.jpg"]))
    assert str(raised.value).isprintable()
    (tmp_path / "x.csv").write_text("file,label\n\x1b[2Ja.jpg,\x1b[2J\n")
    with pytest.raises(UsageError) as raised:
        read(tmp_path / "a", tmp_path / "x.csv")
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("names", [("490/a.jpg", "1/b.jpg"), ("1000/a.jpg", "tench/b.jpg")])
def test_numbers_of_folders_are_asked_about_as_those_of_files(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    folder = fill(tmp_path / "data", names)
    with pytest.raises(UsageError, match=r"say which with .*--numbers ilsvrc or --numbers one-b"):
        read(folder)
    number = int(names[0].split("/")[0])
    truth = read(folder, numbers="one-based")
    assert told(truth)[names[0]] == number - 1
    assert "folders named by index from 1" in truth.layout
    for place in (tmp_path, folder):  # beside the folder, and in it
        fields = [("ILSVRC2012_ID", "O"), ("WNID", "O")]
        synsets = [[(number, "n01440764")], [(1, "n01443537")]]
        scipy.io.savemat(place / "meta.mat", {"synsets": np.array(synsets, fields)})
        for numbers in (None, "ilsvrc"):
            truth = read(folder, numbers=numbers)
            assert told(truth)[names[0]] == 0
            assert "by the development kit's number" in truth.layout
        (place / "meta.mat").unlink()


def test_own_classes_are_counted_from_1_where_the_highest_number_says_so(tmp_path: Path) -> None:
    own = [labels.Label("", name) for name in ("cat", "dog")]
    folder = fill(tmp_path, ["1/a.jpg", "2/b.jpg"])
    with pytest.raises(UsageError, match="as no 0 is among them; say which with --numbers one-b"):
        ground_truth.read(folder, own)
    assert [*ground_truth.read(folder, own, numbers="one-based").truths.values()] == [0, 1]


def test_pictures_in_order_are_in_natural_order(tmp_path: Path) -> None:
    folder = fill(tmp_path / "data", [f"shot{number}.jpg" for number in (1, 2, 10)])
    lines = tmp_path / "t.txt"
    lines.write_text("tench\ngoldfish\nrobin\n")
    truth = read(folder, lines)
    assert told(truth) == {"shot1.jpg": 0, "shot2.jpg": 1, "shot10.jpg": 15}
    assert truth.layout.endswith("in the order of their names, shot2.jpg before shot10.jpg")
    fill(folder, ["Shot3.jpg"])
    lines.write_text("tench\ngoldfish\nrobin\ntench\n")
    with pytest.raises(UsageError, match=r"sort in two ways: 'Shot3\.jpg' or 'shot1\.jpg' first"):
        read(folder, lines)


@pytest.mark.parametrize(
    ("way", "prefix"),
    [
        ("data", "{0}/data/"), ("./data/", "{0}/data/"), ("data", "./data/"), ("link", "{0}/data/"),
        ("data", "{0}/link/"), ("{0}/data", "data/"), ("{0}/data", "in\\"), ("./data", "data/"),
    ],
)  # fmt: skip
def test_paths_to_the_same_folder_are_names_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, prefix: str
) -> None:
    fill(tmp_path / "data", ["in/a.jpg", "b.jpg"])
    (tmp_path / "link").symlink_to("data")
    monkeypatch.chdir(tmp_path)
    inside = prefix if prefix.startswith("in") else prefix.format(tmp_path) + "in/"
    Path("x.csv").write_text(f"file,label\n{inside}a.jpg,tench\n")
    truth = read(Path(way.format(tmp_path)), Path("x.csv"))
    assert [Path(name).name for name in truth.truths] == ["a.jpg"]
    assert next(iter(truth))[0].read() == b"no picture is opened here"


def test_the_root_is_a_folder_like_others() -> None:
    assert ground_truth._relative("/", "/in/a.jpg") == "in/a.jpg"
    assert ground_truth._relative("/data/", "/data/in/a.jpg") == "in/a.jpg"
    assert ground_truth._relative("/data", "/database/a.jpg") == "/database/a.jpg"


def test_two_columns_for_the_pictures_have_to_agree(tmp_path: Path) -> None:
    folder, table = fill(tmp_path / "data", ["a.jpg", "b.jpg"]), tmp_path / "x.csv"
    table.write_text(f"image,path,label\n7,{folder}/a.jpg,tench\n8,{folder}/b.jpg,robin\n")
    assert told(read(folder, table)) == {"a.jpg": 0, "b.jpg": 15}
    table.write_text("file,image,label\na.jpg,b.jpg,tench\nb.jpg,a.jpg,robin\n")
    with pytest.raises(UsageError, match="columns image and file name different pictures"):
        read(folder, table)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["x.csv", "x.txt"])
def test_a_table_in_any_encoding_names_files_and_classes_in_any_form(
    tmp_path: Path, encoding: str, form: Form, name: str
) -> None:
    own = [labels.Label("", "hiver"), labels.Label("", unicodedata.normalize(form, "été"))]
    fill(tmp_path / "data", [unicodedata.normalize(form, "forêt.jpg")])
    text = "file,label\nforêt.jpg,été\n" if name == "x.csv" else "forêt.jpg été\n"
    (tmp_path / name).write_bytes(text.encode(encoding))
    truth = ground_truth.read(tmp_path / "data", own, tmp_path / name)
    assert [*truth.truths.values()] == [1]
    assert [source.read() for source, _ in truth] == [b"no picture is opened here"]
