"""Reports: what each format says, and that names on a page stay names."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from PIL import Image

from tests.support import judged
from topfive.errors import MissingExtraError, OutputError, UsageError
from topfive.evaluation import report
from topfive.evaluation.evaluations import Comparison, comparison_of
from topfive.networks.published import NETWORKS
from topfive.system.text import printable

FORMATS = (".html", ".md", ".json")


@pytest.fixture
def hostile(tmp_path: Path) -> Comparison:
    return judged.hostile(tmp_path / "pictures")


class Page(HTMLParser):
    """The elements of a page, and its text."""

    VOID = ("meta", "img", "br", "wbr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def page(comparison: Comparison, folder: Path) -> Page:
    file = folder / "out.html"
    report.write(comparison, file)
    return Page(file.read_text("utf-8"))


@pytest.mark.slow
def test_a_page_runs_nothing_and_asks_for_nothing(hostile: Comparison, tmp_path: Path) -> None:
    found = page(hostile, tmp_path)
    assert found.open == []
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "iframe", "object", "embed", "link", "base", "form", "a", "b:a"}
    for tag, attributes in found.elements:
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "srcset", "data", "action", "poster", "background"):
            value = attributes.get(name) or ""
            assert re.match(r"$|data:image/jpeg;base64,[\w+/=]+$|#[\w-]+$", value), (tag, value)
        assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", attributes.get("style") or "")
    (policy,) = [one["content"] for one in found.all("meta") if one.get("http-equiv")]
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    ids = [attributes["id"] for _, attributes in found.elements if "id" in attributes]
    assert len(ids) == len(set(ids)) > 10


@pytest.mark.slow
def test_names_on_a_page_stay_names(hostile: Comparison, tmp_path: Path) -> None:
    found = page(hostile, tmp_path)
    for name in judged.HOSTILE:
        assert printable(name) in found.text
        assert any(printable(name) == image["alt"] for image in found.all("img"))
    assert "<b>gone</b>.jpg: <i>no</i> reason\\x1b[2J" in found.text
    assert "49" not in re.findall(r"\{\{.*?\}\}|\b49\b", found.text)
    raw = (tmp_path / "out.html").read_text("utf-8")
    assert not set(raw) & {"\u202e", "\x1b", "\udcff"}


@pytest.mark.slow
def test_the_worst_errors_are_small_pictures_the_most_confident_first(
    hostile: Comparison, tmp_path: Path
) -> None:
    found = page(hostile, tmp_path)
    # The pictures on which both differ, then every error of the first, and of the second.
    assert len(found.all("img")) == 10 + 10 + 5
    for number, image in enumerate(found.all("img")[10:20]):
        content = base64.b64decode((image["src"] or "").partition(",")[2])
        with Image.open(io.BytesIO(content)) as picture:
            seen = picture.convert("RGB").getpixel((30, 20))
            assert isinstance(seen, tuple)
            expected = judged.colour(number)
            assert max(abs(a - b) for a, b in zip(seen, expected, strict=True)) < 12
    first = hostile.evaluations[0].judgements[0]
    label = first.predictions[0].label
    assert re.search(rf"✗ {label}\s+95.0 %", found.text)


@pytest.mark.slow
def test_a_large_picture_becomes_a_small_one_and_a_gone_one_an_empty_frame(tmp_path: Path) -> None:
    sources = judged.pictures(tmp_path, ["large.jpg", "gone.jpg"], (3000, 1500))
    (tmp_path / "gone.jpg").unlink()
    found = page(judged.comparison(tmp_path, sources, {"vgg16": [1, 1]}), tmp_path)
    sizes = []
    for image in found.all("img"):
        with Image.open(io.BytesIO(base64.b64decode((image["src"] or "")[23:]))) as picture:
            sizes.append(picture.size)
    assert sizes == [(240, 120), (240, 180)]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_the_published_accuracy_stands_beside_the_measured_with_the_recipe_of_each(
    hostile: Comparison, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / f"out{suffix}"
    report.write(hostile, file)
    text = file.read_text("utf-8")
    text = Page(text).text if suffix == ".html" else text
    for one in hostile.evaluations:
        told = [one.recipe, one.network.published, f"{one.network.top1}", one.weights]
        told += ["50.0"] if suffix != ".json" else ['"hits": 5']
        for word in told:
            assert word in text


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".html", ".md"])
def test_tables_say_what_was_measured(hostile: Comparison, tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"out{suffix}"
    report.write(hostile, file)
    text = file.read_text("utf-8")
    words = Page(text).text if suffix == ".html" else text
    pair = hostile.pairs[0]
    assert (pair.only_first, pair.only_second) == (0, 5)
    for word in ("may be chance", "50.0 % (23.7 to 76.3)", "5.5", "Most often confused by vgg16",
                 "broken", "0.062", "goldfish", "n01443537", "Calibration error"):  # fmt: skip
        assert word in words, word
    assert hostile.pairs[0].p_value == pytest.approx(0.0625)


def test_markdown_shows_names_as_they_are(hostile: Comparison, tmp_path: Path) -> None:
    file = tmp_path / "out.md"
    report.write(hostile, file)
    tokens = MarkdownIt("commonmark").enable("table").parse(file.read_text("utf-8"))
    cells, kinds = [], set()
    for token in tokens:
        children = token.children or []
        kinds |= {token.type, *(child.type for child in children)}
        cells.append("".join(child.content for child in children))
    assert kinds <= {
        "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline", "text",
        "text_special", "table_open", "table_close", "thead_open", "thead_close", "tbody_open",
        "tbody_close", "tr_open", "tr_close", "th_open", "th_close", "td_open", "td_close",
        "bullet_list_open", "bullet_list_close", "list_item_open", "list_item_close",
    }  # fmt: skip
    for name in judged.HOSTILE:
        assert printable(name) in cells
    assert "<b>gone</b>.jpg: <i>no</i> reason\\x1b[2J" in cells
    assert "https://" not in file.read_text("utf-8")  # which would become a link where bare ones do


def test_json_says_all_and_is_plain(hostile: Comparison, tmp_path: Path) -> None:
    file = tmp_path / "out.json"
    report.write(hostile, file)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    told = json.loads(file.read_text("ascii"), parse_constant=refuse)
    assert told["titles"] == ["vgg16", "squeezenet"]
    assert told["labels"][1] == {"wnid": "n01443537", "name": "goldfish"}
    assert told["pairs"][0]["p_value"] == hostile.pairs[0].p_value
    assert len(told["disagreements"]) == len(hostile.disagreements)
    for one, evaluation in zip(told["evaluations"], hostile.evaluations, strict=True):
        assert one["network"]["name"] == evaluation.network.name
        assert one["top1"]["value"] == evaluation.top1.value
        assert one["failures"] == [failure.to_dict() for failure in evaluation.failures]
        assert len(one["bins"]) == 15
        assert None in [each["accuracy"] for each in one["bins"]]  # of an empty one
        for each, judgement in zip(one["judgements"], evaluation.judgements, strict=True):
            assert each["source"] == judgement.source
            assert (each["truth"], each["rank"]) == (judgement.truth, judgement.rank)
            assert each["predictions"][0]["probability"] == judgement.predictions[0].probability


@pytest.mark.slow
@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_may_have_been_measured(tmp_path: Path, suffix: str) -> None:
    """All pictures failed: there is no share, and no picture."""
    one = judged.comparison(tmp_path, [], {"vgg16": []})
    failed = judged.hostile(tmp_path / "x").evaluations[0].failures
    one = comparison_of("x", "y", 0, [replace(one.evaluations[0], failures=failed, seconds=0.0)])
    report.write(one, tmp_path / f"out{suffix}")
    text = (tmp_path / f"out{suffix}").read_text("utf-8")
    assert "NaN" not in text
    assert "nan %" not in text


@pytest.mark.slow
def test_a_large_run_stays_a_small_page(tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(1000)]
    sources = judged.pictures(tmp_path / "many", names[:60], (500, 375))
    noise = Image.effect_noise((500, 375), 90).convert("RGB")  # what compresses worst
    for source in sources:
        noise.save(source)
    sources += [f"{tmp_path}/many/{name}" for name in names[60:]]
    answers = {name: [1] * 1000 for name in NETWORKS}
    found = page(judged.comparison(tmp_path / "many", sources, answers), tmp_path)
    assert (tmp_path / "out.html").stat().st_size < 3_000_000
    assert 80 < len(found.all("img")) <= 110
    assert found.text.count("n0") + found.text.count("n1") >= 1000
    assert len(found.all("details")) >= 1


@pytest.mark.slow
def test_the_same_comparison_gives_the_same_bytes(hostile: Comparison, tmp_path: Path) -> None:
    for suffix in FORMATS:
        for name in ("a", "b"):
            report.write(hostile, tmp_path / f"{name}{suffix}")
        same = [(tmp_path / f"{name}{suffix}").read_bytes() for name in ("a", "b")]
        assert same[0] == same[1]


def test_markdown_and_json_need_no_extra(
    hostile: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    for suffix in (".md", ".json"):
        report.write(hostile, tmp_path / f"out{suffix}")
        assert (tmp_path / f"out{suffix}").stat().st_size > 1000
    for act in (report.check, lambda file: report.write(hostile, file)):
        with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[report\]'"):
            act(tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


def test_what_cannot_be_written_is_refused_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    for name, words in (("out.pdf", r"\.html, \.md, \.json"), ("none/out.md", "make it first"),
                        ("folder.html", "not a file")):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            report.check(tmp_path / name)
    report.check(tmp_path / "OUT.HTML")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["out.html", "out.md", "out.json"])
def test_a_full_disk_leaves_nothing(hostile: Comparison, small_disk: Path, name: str) -> None:
    room = os.statvfs(small_disk)
    (small_disk / "filler").write_bytes(bytes(room.f_bavail * room.f_frsize))
    with pytest.raises(OutputError, match="the disk is full"):
        report.write(hostile, small_disk / name)
    assert [file.name for file in small_disk.iterdir()] == ["filler"]


def test_a_report_that_cannot_be_finished_leaves_the_one_before(
    hostile: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "out.md"
    report.write(hostile, file)
    before = file.read_bytes()

    def broken(comparison: Comparison, _: int) -> Iterator[str]:
        yield "# half"
        raise KeyboardInterrupt

    monkeypatch.setitem(report.WRITERS, ".md", broken)
    with pytest.raises(KeyboardInterrupt):
        report.write(hostile, file, force=True)
    assert file.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if entry.name != "pictures"] == ["out.md"]


def test_a_name_that_is_too_long_is_an_error_of_one_line(
    hostile: Comparison, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="too long"):
        report.write(hostile, tmp_path / f"{'x' * 300}.md")
    assert [entry.name for entry in tmp_path.iterdir()] == ["pictures"]


def test_formats_for_standard_output_are_the_files(hostile: Comparison, tmp_path: Path) -> None:
    for name, suffix in (("json", ".json"), ("markdown", ".md")):
        report.write(hostile, tmp_path / f"out{suffix}")
        told = "".join(report.FORMATS[name](hostile))
        assert told == (tmp_path / f"out{suffix}").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("num_classes", "num_pictures", "said"), [
    (10, 20, "Top-1 accuracy of each class"),
    (20, 100, "Top-1 accuracy of the classes, by rank"),
    (100, 100, "How often the truth is among the first answers"),
])  # fmt: skip
def test_the_second_plot_is_what_says_most(
    tmp_path: Path, num_classes: int, num_pictures: int, said: str
) -> None:
    sources = [f"{number}.jpg" for number in range(num_pictures)]
    truths = [number % num_classes for number in range(num_pictures)]
    answers = {"vgg16": [number % 3 for number in range(num_pictures)]}
    compared = judged.comparison(tmp_path, sources, answers, truths=truths)
    found = page(compared, tmp_path)
    assert said in [one["aria-label"] for one in found.all("svg")]
    assert ("tench" in re.split("Measured \\(with", found.text)[0]) == (num_classes == 10)
