"""What many tests share: the real data beside the checkout, folders of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

# Before anything imports Keras: the tests in this process run on the backend that needs
# no training framework; the others run in processes of their own.
os.environ["KERAS_BACKEND"] = "openvino"

from tests.support import fakes, made_up
from topfive import Classifier
from topfive.networks import weights

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


# The longest, by measurement: they come first, so that no process waits for another's last file.
LONG = ("test_keras_models", "test_openvino_engine", "test_taught_everywhere", "test_ray_rows",
        "test_tune", "test_export", "test_folder", "test_networks", "test_quantize")  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests into an order in which two processes are done at about the same time."""
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONG)))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real weights, photographs and reference answers."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real test data in {SHARED}")
    return SHARED


@pytest.fixture(autouse=True)
def private_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own weights, cache or settings."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("TOPFIVE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TOPFIVE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("TOPFIVE_MIRROR", raising=False)
    monkeypatch.delenv("TOPFIVE_MODEL", raising=False)


@pytest.fixture
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """No weights come in packages, as where the install is broken."""
    monkeypatch.setattr(weights, "packaged", lambda network: None)


@pytest.fixture(scope="session")
def weight_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights for SqueezeNet v1.1 that need no real data: the self-test's."""
    file = tmp_path_factory.mktemp("weights") / "self_test.h5"
    made_up.write_weights(file)
    return file


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that stays for the whole run: what is compiled in it is compiled once."""
    return tmp_path_factory.mktemp("compiled")


@pytest.fixture
def warm(compiled: Path, private_folders: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use the cache that stays."""
    monkeypatch.setenv("TOPFIVE_CACHE", str(compiled))
    return compiled


@pytest.fixture
def squeezenet(weight_file: Path, warm: Path) -> Classifier:
    """A classifier that answers at once, with made-up answers."""
    return Classifier("squeezenet_v1.1", weights=weight_file)


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    """A picture of our own making, as a JPEG file."""
    file = tmp_path / "photograph.jpg"
    Image.fromarray(fakes.pictures(1, 300)[0][:, :240]).save(file)
    return file


@pytest.fixture(scope="session")
def screen() -> Iterator[str]:
    """A virtual screen, as `DISPLAY` names it."""
    if not all(shutil.which(program) for program in ("Xvfb", "xdotool")):
        pytest.skip("needs Xvfb and xdotool")
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    process = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
    os.close(write)
    with os.fdopen(read) as answer:
        yield f":{answer.readline().strip()}"
    process.terminate()
    process.wait()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)],  # noqa: S607
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("needs the right to mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)  # noqa: S607
