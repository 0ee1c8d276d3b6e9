"""A wheel holds every room and asset: each of its modules is imported from it alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow

# Imports every module in the folder that it runs in, and says which they were, and what of
# topfive was imported from elsewhere.
IMPORT = """
import importlib, sys
from pathlib import Path
here = Path.cwd()
sys.path.insert(0, str(here))
files = [file.relative_to(here).with_suffix("") for file in sorted(here.rglob("*.py"))]
names = [".".join(file.parts) for file in files]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name.removesuffix(".__init__"))
print(*names)
of_topfive = [one for name, one in sys.modules.items() if name.partition(".")[0] == "topfive"]
print(*[one.__name__ for one in of_topfive if not Path(one.__file__).is_relative_to(here)])
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a wheel was unpacked that was built from a copy of the checkout."""
    setuptools = pytest.importorskip("setuptools")
    copy, wheels, installed = (tmp_path_factory.mktemp(name) for name in ("copy", "wheels", "all"))
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    if int(setuptools.__version__.partition(".")[0]) < 77:  # that of Python 3.11's own venv
        project = copy / "pyproject.toml"
        text = re.sub(r"^license-files.*\n", "", project.read_text("utf-8"), flags=re.MULTILINE)
        project.write_text(text.replace('license = "MIT"', 'license = {text = "MIT"}'), "utf-8")
    # Nothing is fetched: what builds it is what is installed here.
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation",
               "--no-index", "--wheel-dir", str(wheels), str(copy)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    return installed


def tracked() -> list[str]:
    """The package's files as git knows them, new ones too, and what its build reads."""
    wanted = ["src/topfive", "pyproject.toml", "README.md", "LICENSE"]
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *wanted]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("needs a checkout of git's")
    return [name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_module_is_in_the_wheel_and_is_imported_from_it(installed: Path) -> None:
    # -P and no PYTHONPATH: the checkout is on the path only where pip put it, after this folder.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", IMPORT], cwd=installed, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    imported, elsewhere = done.stdout.splitlines()
    assert elsewhere == ""
    files = {name for name in tracked() if name.endswith(".py")}
    expected = {name.removeprefix("src/").removesuffix(".py").replace("/", ".") for name in files}
    assert set(imported.split()) == expected


def test_all_other_files_of_the_package_are_in_the_wheel(installed: Path) -> None:
    others = [name for name in tracked() if name.startswith("src/") and not name.endswith(".py")]
    assert "src/topfive/py.typed" in others
    assert sum("/assets/" in name for name in others) > 5
    for name in others:
        assert (installed / name.removeprefix("src/")).read_bytes() == (ROOT / name).read_bytes()
