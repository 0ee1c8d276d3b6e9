"""No file is replaced that this run did not make, unless `--force` says so; what is drawn into a
folder takes a free name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from PIL import Image

from tests.support import fakes
from topfive.cli.main import main
from topfive.errors import OutputError
from topfive.pictures import annotate
from topfive.system import files

RED = Image.new("RGB", (9, 9), "red")
# Of every command that writes a file which the user names: its arguments, without the file.
WRITERS = [
    ("classify a.png --save", "out.jpg"),
    ("similar a.png --in . --save", "out.png"),
    ("compare a.png -m squeezenet --save", "out.webp"),
    ("evaluate in --report", "out.html"),
    ("evaluate in --report", "out.md"),
    ("evaluate in --review 3 --review-to", "out.jpg"),
    ("bench -o", "out.svg"),
    ("features . -o", "out.npy"),
    ("batch . -o", "out.csv"),
    ("export squeezenet --to openvino -o", "out.xml"),
    ("weights bundle efficientnet_lite0 -o", "out.tar"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with a picture."""
    folder = tmp_path / "here"
    (folder / "in").mkdir(parents=True)
    Image.fromarray(fakes.pictures(1, 80)[0]).save(folder / "a.png")
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("link", [False, True], ids=["file", "link"])
@pytest.mark.parametrize(("command", "name"), WRITERS)
def test_a_file_that_is_there_is_refused_before_any_work(
    here: Path, capsys: pytest.CaptureFixture[str], command: str, name: str, link: bool
) -> None:
    kept = here / ("kept" if link else name)
    kept.write_text("the user's")
    if link:
        (here / name).symlink_to(kept)
    assert main([*command.split(), name]) == 2
    said = capsys.readouterr()
    assert f"{name} is there already" in said.err
    assert said.out == ""
    assert kept.read_text() == "the user's"


def write_late(file: Path) -> None:
    with files.replacing(file, force=False) as part:
        part.write_text("ours")
        file.write_text("the user's")


@pytest.mark.parametrize("links", [True, False])
def test_what_appears_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    file = tmp_path / "a"
    with files.replacing(file, force=False) as part:
        part.write_text("ours")
    with pytest.raises(OutputError, match="something else has that name by now"):
        write_late(tmp_path / "b")
    assert {one.name: one.read_text() for one in tmp_path.iterdir()} == {
        "a": "ours",
        "b": "the user's",
    }


def test_a_drawing_takes_a_free_name_whatever_is_there(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_text("a photograph")
    (tmp_path / "x-2.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "x-3.jpg").mkdir()
    for force in (False, True):
        taken: set[Path] = set()
        names = [annotate.save(RED, f"x.{end}", tmp_path, taken, force).name for end in "ab"]
        assert names == ["x-4.jpg", "x-5.jpg"]  # those of the run before, with --force
    assert annotate.save(RED, "x.png", tmp_path, set()).name == "x-6.jpg"
    assert (tmp_path / "x.jpg").read_text() == "a photograph"
    assert not (tmp_path / "nowhere").exists()


def test_a_picture_beside_is_kept_and_the_same_again_with_force_draws_no_more(
    here: Path, weight_file: Path, warm: Path
) -> None:
    (here / "a.jpg").write_bytes((here / "a.png").read_bytes())
    before = (here / "a.jpg").read_bytes()
    options = ["--save", ".", "-k", "1", "-m", "squeezenet_v1.1", "--weights", str(weight_file)]
    for more in ([], ["--force"]):
        assert main(["classify", "a.png", "a.jpg", *options, *more]) == 0
        drawn = sorted(file.name for file in here.glob("*.jpg"))
        assert drawn == ["a-2.jpg", "a-3.jpg", "a.jpg"]
    assert (here / "a.jpg").read_bytes() == before
    assert main(["classify", "a.png", *options[:1], "b.png", *options[2:]]) == 0
    old = (here / "b.png").stat().st_ino
    assert main(["classify", "a.png", *options[:1], "b.png", *options[2:], "--force"]) == 0
    assert (here / "b.png").stat().st_ino != old
