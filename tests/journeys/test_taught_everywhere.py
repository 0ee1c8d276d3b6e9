"""A taught network's folder works as `--model` in every command, and in the library."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from tests.support import fakes, taught
from topfive import Classifier
from topfive.batches import batch
from topfive.cli.main import main
from topfive.conversion import export, formats, quantize
from topfive.errors import OutputError, UsageError
from topfive.evaluation import bench_subjects, compare, evaluate
from topfive.networks import records, taught_folders
from topfive.networks.cards import Network
from topfive.system.text import csv_text

pytestmark = pytest.mark.slow

HOSTILE = ("../../evil", "<script>alert(1)</script>", '=1+1, "x"', "été ☃")
KNOWN = "n02088364"  # a beagle
needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray")
ANSWERS = """
import sys
import numpy
from topfive.engines.table import ENGINES
from topfive.networks.find import find_network
out, backend, *folders = sys.argv[1:]
pictures = numpy.load(out + ".pictures.npy")
for number, folder in enumerate(folders):
    run = ENGINES[backend](find_network(folder))
    numpy.save(f"{out}.{number}.npy", run(pictures))
"""


@dataclass(frozen=True)
class Made:
    """Taught networks and the pictures that they know: a folder of them for each class."""

    pets: Path
    tuned: Path
    extended: Path
    pictures: Path

    def of(self, name: str) -> list[str]:
        """The pictures of a class of `pets`, in order."""
        return [str(file) for file in sorted((self.pictures / name).iterdir())]


@pytest.fixture(scope="session")
def made(weight_file: Path, compiled: Path, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """`pets` and `tuned` have one head; `extended` has four hostile classes, of which each
    fourth picture is one."""
    folder = tmp_path_factory.mktemp("taught")
    pictures, files = folder / "pictures", []
    for number, array in enumerate(fakes.pictures(12, 96, seed=3)):
        file = pictures / taught.CLASSES[number % 3] / f"{number // 3}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(file)
        files.append(file)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOPFIVE_CACHE", str(compiled))
        backbone = Classifier(taught.BACKBONE, weights=weight_file)
        answered = backbone.responses(files, output="features")
        features = np.array([response.values for _, response in answered], np.float32)
    own = taught.fitted_head(features, [number % 3 for number in range(12)], 3)
    # The logits of own classes stand beside the logarithm of 1.
    more = taught.fitted_head(features, [number % 4 for number in range(12)], 4, sure=12.0)
    more[-1] -= 6
    taught.write(folder / "pets", weight_file, head=own)
    taught.write(folder / "tuned", weight_file, head=own, tuned=True)
    taught.write(folder / "extended", weight_file, HOSTILE, extends=True, head=more)
    return Made(folder / "pets", folder / "tuned", folder / "extended", pictures)


def retaught(folder: Path, copy: Path, weight_file: Path) -> Path:
    """Copy a network's folder, and teach it anew there."""
    shutil.copytree(folder, copy)
    taught.write(copy, weight_file, head=taught.made_up_head(3, seed=9))
    return copy


def side(picture: Path) -> int:
    """Return the width of a picture, which is read whole."""
    with Image.open(picture) as opened:
        return opened.convert("RGB").width


def run(line: Sequence[object], capsys: pytest.CaptureFixture[str], status: int = 0) -> str:
    """Run the command and return what it printed."""
    assert main([str(one) for one in line]) == status
    told = capsys.readouterr()
    assert status == 0 or told.err.splitlines()[-1].startswith("topfive: ")
    return told.out if status == 0 else told.err


@pytest.mark.parametrize("kind", ["pets", "tuned"])
def test_classify_says_each_class_in_every_format(
    made: Made, kind: str, warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ["--model", f"{getattr(made, kind)}/"]
    for name in taught.CLASSES:
        text = run(["classify", *made.of(name), *model], capsys)
        assert re.findall(r"^1\. (.*): 9\d\.", text, re.MULTILINE) == [name] * 4
    pictures = made.of("my bird")
    found = json.loads(run(["classify", pictures[0], *model, "-f", "json"], capsys))
    assert found[0]["network"] == kind
    assert found[0]["predictions"][0]["label"] == "my bird"
    assert {(one["index"], one["wnid"]) for one in found[0]["predictions"]} == {
        (0, ""), (1, ""), (2, ""),
    }  # fmt: skip
    assert sum(one["probability"] for one in found[0]["predictions"]) == pytest.approx(1)
    table = run(["classify", *pictures, *model, "-f", "csv", "--top", "5"], capsys)
    for row in csv.DictReader(table.splitlines()):
        assert (row["label_1"], row["label_4"], row["label_5"]) == ("my bird", "", "")
    lines = run(["classify", *pictures, *model, "-f", "jsonl", "--top", "1"], capsys).splitlines()
    assert [len(json.loads(line)["predictions"]) for line in lines] == [1] * 4


def test_labels_with_strange_characters_are_told_as_they_are(
    made: Made, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = Classifier(str(made.extended))
    assert [label.name for label in classifier.labels[1000:]] == list(HOSTILE)
    answers = [classifier.classify(f"{made.pictures}/cat/{n}.png") for n in range(4)]
    best = [answer.predictions[0] for answer in answers]
    assert [one.index for one in best] == [1000, 1003, 1002, 1001]
    assert min(one.probability for one in best) > 0.9
    table = run(["classify", *made.of("cat"), "-m", made.extended, "-f", "csv"], capsys)
    found = [csv_text(row["label_1"]) for row in csv.DictReader(table.splitlines())]
    assert found == [one.label for one in best]
    text = run(["classify", *made.of("cat"), "-m", made.extended], capsys)
    assert all(f"1. {name}: 9" in text for name in HOSTILE)
    save = ["--save", tmp_path / "drawn"]
    run(["classify", *made.of("cat"), "-m", made.extended, *save], capsys)
    assert [side(file) >= 200 for file in (tmp_path / "drawn").iterdir()] == [True] * 4


def test_the_hierarchy_has_own_classes_beside_imagenets(
    made: Made, warm: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture, model = made.of("cat")[0], ["-m", made.extended]
    asked = ["--hierarchy", "--ancestor", "../../evil", "--ancestor", "dog", "-f", "json"]
    (found,) = json.loads(run(["classify", picture, *model, *asked], capsys))
    assert [one["label"] for one in found["hierarchy"]] == ["../../evil"]
    evil, dog = found["ancestors"]
    assert evil["probability"] == found["predictions"][0]["probability"]
    assert dog["wnid"] == "n02084071"
    assert dog["probability"] < 1 - evil["probability"]
    said = run(["classify", picture, "-m", made.pets, "--hierarchy"], capsys, 2)
    assert "(the first is 'cat'): this network has no hierarchy" in said
    assert (
        run(["classify", picture, "-m", made.pets, "--ancestor", "cat"], capsys).count("cat") == 2
    )


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_batch_writes_own_labels_to_every_kind_of_table(
    made: Made, ending: str, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"rows.{ending}"
    run(["batch", made.pictures, "-m", made.extended, "-o", out, "-q"], capsys)
    assert Counter(labels(out)) == dict.fromkeys(HOSTILE, 3)


def labels(table: Path) -> list[str]:
    """Return the first labels in a table that `batch` wrote."""
    if table.suffix == ".jsonl":
        rows = map(json.loads, table.read_text().splitlines())
        return [row["predictions"][0]["label"] for row in rows]
    if table.suffix == ".csv":
        with table.open(newline="", encoding="utf-8") as stream:
            return [csv_text(row["label_1"]) for row in csv.DictReader(stream)]
    import pyarrow.parquet

    return [str(one) for one in pyarrow.parquet.read_table(table)["label_1"].to_pylist()]


@pytest.mark.parametrize(
    ("kind", "where", "kept"),
    [
        ("pets", ["my_bird"], ["my bird"] * 4),
        ("pets", ["dog>0.5"], ["dog"] * 4),
        ("pets", ["dog<0.5", "cat<50%"], ["my bird"] * 4),
        ("extended", ["../../evil>0.5"], ["../../evil"] * 3),
        ("extended", ["#1002"], ['=1+1, "x"'] * 3),
        ("extended", ["dog>0.5"], []),
    ],
)
def test_batch_keeps_rows_by_own_labels(
    made: Made, kind: str, where: list[str], kept: list[str], warm: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    asked = [part for one in where for part in ("--where", one)]
    line = ["batch", made.pictures, "-m", getattr(made, kind), "-o", tmp_path / "r.csv", "-q"]
    run([*line, *asked], capsys)
    assert labels(tmp_path / "r.csv") == kept


def test_batch_refuses_what_such_a_network_cannot_say(
    made: Made, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["batch", made.pictures, "-m", made.pets, "-o", tmp_path / "r.csv", "-q"]
    assert "no hierarchy" in run([*line, "--hierarchy"], capsys, 2)
    assert "'canine' is neither" in run([*line, "--where", "canine"], capsys, 2)
    assert not list(tmp_path.glob("r.csv*"))


def test_pictures_sorted_by_own_labels_stay_in_their_folder(
    made: Made, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "deep" / "deeper" / "sorted"
    place.parent.mkdir(parents=True)
    line = ["batch", made.pictures, "-m", made.extended, "-o", tmp_path / "r.csv", "-q"]
    run([*line, "--copy-to", place], capsys)
    files = [file for file in tmp_path.rglob("*.png") if "keras" not in file.parts]
    assert len(files) == 12
    assert {file.parent.parent for file in files} == {place}
    assert Counter(file.parent.name for file in files).most_common() == [
        (name, 3) for name in dict.fromkeys(file.parent.name for file in files)
    ]


def test_a_run_is_not_gone_on_with_by_the_network_that_was_taught_anew(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "pets", tmp_path / "rows.jsonl"
    shutil.copytree(made.pets, folder)
    pictures = made.of("cat") + made.of("dog")

    def broken() -> Iterator[str]:
        yield pictures[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        batch.batch(broken(), out, str(folder))
    partial = batch.journal_file(out).read_bytes()
    taught.write(folder, weight_file, head=taught.made_up_head(3, seed=9))
    with pytest.raises(UsageError, match="the weights' hash"):
        batch.batch(iter(pictures), out, str(folder))
    assert batch.journal_file(out).read_bytes() == partial
    shutil.rmtree(folder)
    shutil.copytree(made.pets, folder)
    assert batch.batch(iter(pictures), out, str(folder)).rows == 8
    assert labels(out) == ["cat"] * 4 + ["dog"] * 4


@needs_ray
def test_rays_workers_answer_the_same(made: Made, warm: Path, tmp_path: Path) -> None:
    line = [sys.executable, "-m", "topfive", "batch", str(made.pictures), "-m", "pets/", "-q",
            "--where", "my_bird<0.5", "-o"]  # fmt: skip
    for name, more in (("ray.csv", ["--ray", "local"]), ("plain.csv", [])):
        subprocess.run([*line, str(tmp_path / name), *more], cwd=made.pets.parent, check=True)
    ray, plain = (
        [re.sub(r",[\d.]+,,$", "", row) for row in (tmp_path / name).read_text().splitlines()]
        for name in ("ray.csv", "plain.csv")
    )
    assert ray == plain
    assert labels(tmp_path / "ray.csv") == ["cat"] * 4 + ["dog"] * 4


def test_networks_of_other_classes_are_compared(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = retaught(made.pets, tmp_path / "pets", weight_file)
    models = ["-m", made.pets, "-m", made.extended, "-m", other]
    found = json.loads(run(["compare", *made.of("dog"), *models, "-f", "json"], capsys))
    names = [one["network"] for one in found["networks"]]
    assert names == [str(made.pets), "extended", str(other)]
    first = [picture["answers"][0]["predictions"] for picture in found["pictures"]]
    assert [(len(best), best[0]["label"]) for best in first] == [(3, "dog")] * 4
    sizes = [sum(file.stat().st_size for file in folder.iterdir() if file.suffix in (".h5", ".npy"))
             for folder in (made.pets, made.extended)]  # fmt: skip
    assert [one["weights_size"] for one in found["networks"][:2]] == sizes
    assert all(one["compiled_size"] for one in found["networks"])
    run(["compare", *made.of("dog"), *models, "--save", tmp_path / "side.png"], capsys)
    assert side(tmp_path / "side.png") > 300


def test_each_network_of_a_comparison_reads_a_picture_by_its_own_recipe(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path
) -> None:
    recipe = replace(taught.BACKBONE.recipe, keras_decoding=True)
    head = taught.made_up_head(3)
    recipes = {"plain": replace(recipe, keras_decoding=False), "keras": recipe}
    cards = [taught.write(tmp_path / name, weight_file, head=head, recipe=how)
             for name, how in recipes.items()]  # fmt: skip
    picture = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    Image.open(made.of("cat")[0]).save(picture, exif=exif)
    (compared,) = compare.compare([picture], cards).pictures
    alone = [Classifier(card).classify(picture).predictions for card in cards]
    for answer, expected in zip(compared.answers, alone, strict=True):
        assert [one.probability for one in answer] == pytest.approx(
            [one.probability for one in expected], abs=1e-4
        )
    assert alone[0][0].probability != pytest.approx(alone[1][0].probability, abs=1e-3)


def test_evaluate_takes_folders_that_are_named_by_own_classes(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = retaught(made.pets, tmp_path / "other", weight_file)
    shutil.copy(made.of("dog")[0], made.pictures / "unsorted.png")
    try:
        line = ["evaluate", made.pictures, "-q", "-m", made.pets, "-m", other, "-f", "json",
                "--report", tmp_path / "r.html"]  # fmt: skip
        found = json.loads(run(line, capsys))
    finally:
        (made.pictures / "unsorted.png").unlink()
    first, second = found["evaluations"]
    assert (first["top1"]["hits"], first["top1"]["of"]) == (12, 12)
    assert second["top1"]["hits"] < 12
    assert [one["label"] for one in first["classes"]] == list(taught.CLASSES)
    assert (tmp_path / "r.html").read_text("utf-8").count("my bird") > 1


@pytest.mark.parametrize("ending", ["html", "md", "json"])
def test_a_truth_file_may_hold_own_labels_however_strange(
    made: Made, ending: str, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (tmp_path / "truth.csv").open("w", newline="", encoding="utf-8") as stream:
        rows = csv.writer(stream)
        rows.writerow(["source", "label"])
        for name in taught.CLASSES:
            for file in made.of(name):
                classifier_says = first_label(made, file)
                rows.writerow([os.path.relpath(file, made.pictures), classifier_says])
    report = tmp_path / f"report.{ending}"
    line = ["evaluate", made.pictures, "--truth", tmp_path / "truth.csv", "-q", "--per-class",
            "-m", made.extended, "--report", report, "--review", "3",
            "--review-to", tmp_path / "review.jpg"]  # fmt: skip
    text = run(line, capsys)
    assert "100.0" in text
    assert all(name in text for name in HOSTILE)
    told = report.read_text("utf-8")
    assert ("<script>alert(1)" in told) == (ending == "json")


def first_label(made: Made, file: str) -> str:
    number = 3 * int(Path(file).stem) + taught.CLASSES.index(Path(file).parent.name)
    return HOSTILE[number % 4]


def test_a_wrong_label_names_the_classes_that_there_are(
    made: Made, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "truth.csv").write_text("source,label\ncat/0.png,cta\n")
    line = ["evaluate", made.pictures, "--truth", tmp_path / "truth.csv", "-m", made.pets]
    said = run(line, capsys, 2)
    assert "'cta' is none of the 3 classes. Did you mean cat? Expected one of 'cat', 'dog'" in said


def test_a_calibration_is_of_what_was_taught_and_of_nothing_else(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pets"
    shutil.copytree(made.pets, folder)
    pictures = tmp_path / "more"
    for number, array in enumerate(fakes.pictures(60, 64, seed=5)):
        place = pictures / taught.CLASSES[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(array).save(place / f"{number}.png")
    found = json.loads(run(["calibrate", pictures, "-m", folder, "-q", "-f", "json"], capsys))
    assert found["num_classes"] == 3
    asked = ["classify", made.of("cat")[0], "-m", f"{folder}/", "-f", "json"]
    (answer,) = json.loads(run([*asked, "--coverage", "0.8", "--reject"], capsys))
    assert 1 <= len(answer["prediction_set"]) <= 3
    assert answer["rejected"] in (True, False)
    assert "calibrated: f32 stretch-bicubic" in run(["networks", folder], capsys)
    taught.write(folder, weight_file, head=taught.made_up_head(3, seed=9))
    assert "pets is not calibrated" in run([*asked, "--calibrated"], capsys, 2)
    assert "calibrated:" not in run(["networks", folder], capsys)


def test_a_graph_in_8_bits_is_of_what_was_taught_and_of_nothing_else(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    pytest.importorskip("nncf")
    folder = tmp_path / "extended"
    shutil.copytree(made.extended, folder)
    pictures = tmp_path / "more"
    pictures.mkdir()
    for number, array in enumerate(fakes.pictures(60, 64, seed=5)):
        Image.fromarray(array).save(pictures / f"{number}.png")
    quick = ["--all-layers", "--force", "-q"]
    said = run(["quantize", pictures, "-m", folder, *quick], capsys)
    assert f"Use it with --model {folder} --precision int8" in said
    assert "27 of 27 layers" in said
    int8 = ["-m", folder, "--precision", "int8"]
    (found,) = json.loads(run(["classify", made.of("dog")[0], *int8, "-f", "json"], capsys))
    assert len(found["predictions"]) == 5
    (seen,) = compare.compare(made.of("dog")[:1], [str(folder)], precision="int8").contenders
    assert seen.compiled
    ((card, precision, known),) = bench_subjects.find([str(folder)], ["int8"])
    with bench_subjects.open_subjects([(card, precision, known)]) as (subject,):
        assert subject.weights == taught_folders.read(folder).taught.fingerprint  # type: ignore[union-attr]
    taught.write(folder, weight_file, head=taught.made_up_head(3, seed=9))
    assert "there is no extended in 8 bits" in run(
        ["classify", made.of("dog")[0], *int8], capsys, 2
    )
    with pytest.raises(UsageError, match="no extended in 8 bits"):
        bench_subjects.find([str(folder)], ["int8"])
    assert [found[1] for found in bench_subjects.find([str(folder)])] == ["f32"]


def test_a_bench_has_the_head_in_its_graph(
    made: Made, warm: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = bench_subjects.find([str(made.pets), f"{made.extended}/"], ["f32"])
    with bench_subjects.open_subjects(found) as subjects:
        pets, extended = (subject.multiply_adds for subject in subjects)
        assert extended - pets > 4 * taught.FEATURES  # the thousand classes, at each place
        assert {subject.graph.exists() for subject in subjects} == {True}
    line = ["bench", "-m", made.tuned, "--threads", "1", "--batch", "2", "--seconds", "0.05",
            "--runs", "1"]  # fmt: skip
    assert "tuned: 0.2" in run(line, capsys)
    with pytest.raises(UsageError, match="random weights are for published networks, not for pets"):
        bench_subjects.find([str(made.pets)], random=True)
    shutil.copytree(made.pets, tmp_path / "pets")
    with pytest.raises(UsageError, match="several of the networks have one name"):
        bench_subjects.find([str(made.pets), str(tmp_path / "pets")])


@pytest.mark.parametrize(
    ("kind", "format", "name"),
    [
        ("tuned", "openvino", "x.xml"),
        ("extended", "onnx", "x.onnx"),
        ("extended", "keras", "x.keras"),
    ],
)
def test_an_export_has_the_head_and_the_labels(
    made: Made, kind: str, format: str, name: str, warm: Path, tmp_path: Path
) -> None:
    if format == "onnx":
        pytest.importorskip("tf2onnx")
    network = taught_folders.read(getattr(made, kind))
    done = export.export(network, format, tmp_path / name)
    assert done.difference < 1e-4
    told = describe(tmp_path / name)
    names = [one["label"] if "label" in one else one["name"] for one in told["classes"]]
    own = HOSTILE if kind == "extended" else taught.CLASSES
    assert names[-len(own) :] == list(own)
    assert len(names) == len(own) + 1000 * (kind == "extended")
    assert network.taught
    assert (told["network"], told["backbone"]) == (kind, taught.BACKBONE.name)
    assert (told["weights"], told["licence"]) == (network.taught.fingerprint, "the user's own")


def describe(file: Path) -> dict[str, Any]:
    if file.suffix == ".keras":
        return dict(json.loads(formats.enclosed(file)))
    (format,) = (one for one in formats.FORMATS.values() if one.endings[0] == file.suffix)
    return dict(json.loads(format.open(file).description))


def test_tensorflow_answers_the_same(made: Made, warm: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow", reason="needs TensorFlow")
    out, folders = tmp_path / "out", (made.pets, made.tuned, made.extended)
    pictures = fakes.pictures(3, taught.BACKBONE.size)
    np.save(f"{out}.pictures.npy", pictures)
    line = [sys.executable, "-c", ANSWERS, str(out), "tensorflow", *map(str, folders)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)
    for number, folder in enumerate(folders):
        expected = np.load(f"{out}.{number}.npy")
        classifier = Classifier(str(folder))
        assert np.abs(classifier._run(pictures) - expected).max() < 1e-4
        assert expected.shape == (3, len(classifier.labels))


def test_networks_shows_how_it_was_made(
    made: Made, weight_file: Path, warm: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = run(["networks", f"{made.pets}/"], capsys)
    for line in (f"  folder    {made.pets}", "  classes   cat, dog, my bird",
                 "  backbone  squeezenet_v1.1, weights the user's own", "    by: topfive teach",
                 "    held out", "      right: 57"):  # fmt: skip
        assert line in text.splitlines()
    assert "after those of squeezenet_v1.1" in run(["networks", made.extended], capsys)
    (card,) = json.loads(run(["networks", made.tuned, "-f", "json"], capsys))
    assert card["made"]["by"] == "topfive teach"
    assert card["taught"]["classes"] == list(taught.CLASSES)
    assert card["compiled"] in (True, False)
    hostile = {"a\x1b[2J": "b\nc", "deep": {"er": {"still": [1, [2]]}}, "long": "x" * 10_000,
               "many": {str(n): n for n in range(1000)}}  # fmt: skip
    taught.write(tmp_path / "odd", weight_file, [f"class {n}" for n in range(300)], made=hostile)
    text = run(["networks", tmp_path / "odd"], capsys)
    assert r"    a\x1b[2J: b\nc" in text.splitlines()
    assert "class 19, … 300 in all" in text
    assert len(text.splitlines()) < 80
    assert max(map(len, text.splitlines())) < 400
    taught.write(tmp_path / "none", weight_file, made=None)
    assert "made" not in run(["networks", tmp_path / "none"], capsys)


@pytest.mark.parametrize(
    "line",
    [
        ["fetch", "PETS"], ["verify", "PETS"], ["remove", "PETS"], ["path", "PETS"],
        ["bundle", "PETS", "-o", "x.tar"], ["import", "x.h5", "--network", "PETS"],
    ],
)  # fmt: skip
def test_weights_are_of_published_networks(
    made: Made, line: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.stat().st_mtime_ns for file in made.pets.iterdir()}
    named = [str(made.pets) if one == "PETS" else one for one in line]
    said = run(["weights", *named], capsys, 2)
    assert "is a taught network, whose weights are in its folder; expected the name" in said
    assert {file: file.stat().st_mtime_ns for file in made.pets.iterdir()} == before


@pytest.mark.parametrize(
    "line",
    [
        ["classify", "PICTURE"], ["batch", "PICTURE", "-o", "x.csv"], ["compare", "PICTURE"],
        ["evaluate", "FOLDER"], ["calibrate", "FOLDER"], ["quantize", "FOLDER"], ["bench"],
        ["export", "PETS", "--to", "openvino", "-o", "x.xml"],
    ],
)  # fmt: skip
def test_other_weights_are_refused_in_every_command(
    made: Made, line: list[str], weight_file: Path, warm: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    stands = {"PICTURE": made.of("cat")[0], "FOLDER": str(made.pictures), "PETS": str(made.pets)}
    model = [] if line[0] == "export" else ["--model", str(made.pets)]
    named = [stands.get(one, one) for one in line]
    said = run([*named, *model, "--weights", weight_file], capsys, 2)
    assert f"pets has weights of its own; received {weight_file}" in said
    assert not [one for one in tmp_path.iterdir() if one.name.startswith("x.")]


def test_a_damaged_folder_is_one_line_in_every_command(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pets"
    shutil.copytree(made.pets, folder)
    head = next(folder.glob("head-*"))
    head.write_bytes(head.read_bytes()[:-4] + b"\0\0\x80\x3f")
    for line in (["classify", made.of("cat")[0]], ["evaluate", made.pictures, "-q"]):
        said = run([*line, "-m", folder], capsys, 3)
        assert "is not what was taught: teach it again" in said.splitlines()[-1]
    (folder / "card.json").write_text("{")
    for line in (["classify", made.of("cat")[0], "-m"], ["networks"], ["bench", "-m"],
                 ["weights", "path"]):  # fmt: skip
        assert "card.json is damaged" in run([*line, folder], capsys, 2)


def test_a_quantised_network_that_cannot_be_stored_is_an_output_error(
    made: Made, warm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network: Network = taught_folders.read(made.pets)
    assert network.taught
    monkeypatch.setenv("TOPFIVE_DATA", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    place = records.path(network.name, network.taught.fingerprint)
    with pytest.raises(OutputError, match="cannot write to"), quantize.working(place):
        raise AssertionError


def test_the_library_takes_folders_and_cards_as_names(made: Made, warm: Path) -> None:
    card = taught_folders.read(made.pets)
    pictures = made.of("dog")
    for network in (str(made.pets), card):
        assert Classifier(network).classify(pictures[0]).predictions[0].label == "dog"
        (found,) = evaluate.evaluate(made.pictures, [network]).evaluations
        assert found.top1.hits == 12
        assert compare.compare(pictures, [network]).pictures[0].label == "dog"
