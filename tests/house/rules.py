"""The rules of the house. Each yields where a tree of modules breaks it, so that it can be seen
to find what was planted."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

LONGEST = 400  # lines of a module
FOLDERS, FILES = 16, 5  # on the ground floor; the folders with `assets`
HEAVY = {
    "ai_edge_litert", "filelock", "fsspec", "gcsfs", "h5py", "huggingface_hub", "jax", "jinja2",
    "keras", "markupsafe", "matplotlib", "nncf", "onnx", "onnxruntime", "openvino", "pi_heif",
    "platformdirs", "pyarrow", "pydicom", "ray", "requests", "rich", "s3fs", "scipy", "sklearn",
    "sqlite3", "tensorboard", "tensorboardX", "tensorflow", "tf2onnx", "threadpoolctl", "tkinter",
    "torch",
}  # fmt: skip
FORBIDDEN = re.compile(r"\bpickle\b|\beval\(|\bexec\(|shell=True|os\.system|assert ")


class House:
    """A package: its rooms are its folders with modules, in the order of a page's table, each of
    which imports only from those before it."""

    def __init__(self, source: Path, page: str) -> None:
        self.source = source
        self.order = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
        self.modules = sorted(source.rglob("*.py"))
        self.names = {self.name(one) for one in self.modules}

    def room(self, file: Path) -> str | None:
        """The room that a module is in, None on the ground floor."""
        folder = file.relative_to(self.source).parts[0]
        return None if folder.endswith(".py") else folder

    def name(self, file: Path) -> str:
        """A module's name with its package's, as imports spell it."""
        parts = file.relative_to(self.source.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def imports(self, file: Path) -> Iterator[str]:
        """The modules of the house that a module imports."""
        known = self.names
        for name in _imported(file.read_text("utf-8")):
            parts = name.split(".")
            while parts and ".".join(parts) not in known:
                parts.pop()
            if parts:
                yield ".".join(parts)


def rooms_are_listed(house: House) -> Iterator[str]:
    """The page's table names every room, and no other."""
    rooms = {room for file in house.modules if (room := house.room(file))}
    yield from sorted(rooms.symmetric_difference(house.order))


def floors(house: House) -> Iterator[str]:
    """A module is on the ground floor or in a room; there are few of both."""
    for file in house.modules:
        if len(file.relative_to(house.source).parts) > 2:
            yield f"{house.name(file)} is on a third floor"
    files = [file for file in house.modules if house.room(file) is None]
    folders = [one for one in house.source.iterdir() if one.is_dir() and one.name[0] != "_"]
    for what, found, most in (("files", files, FILES), ("folders", folders, FOLDERS)):
        if len(found) > most:
            yield f"{len(found)} {what} on the ground floor"


def one_way(house: House) -> Iterator[str]:
    """A room imports from those before it; the ground floor's modules from no room."""
    for file in house.modules:
        room = house.room(file)
        if file.stem in ("__init__", "__main__") and room is None:
            continue
        for name in house.imports(file):
            parts = name.split(".")
            if len(parts) == 1:
                yield f"{house.name(file)} imports the package itself"
            other = parts[1] if len(parts) > 1 and parts[1] in house.order else None
            if other is None or other == room:
                continue
            if room is None or house.order.index(other) > house.order.index(room):
                yield f"{house.name(file)} imports {name}"


def no_circles(house: House) -> Iterator[str]:
    """No modules import each other in a circle."""
    graph = {house.name(file): set(house.imports(file)) for file in house.modules}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> Iterator[str]:
        if name in path:
            yield " > ".join((*path[path.index(name) :], name))
        elif name not in done:
            for one in sorted(graph.get(name, set()) - {name}):
                yield from visit(one, (*path, name))
            done.add(name)

    package = house.source.name
    for name in sorted(set(graph) - {package, f"{package}.__main__"}):
        yield from visit(name, ())


def doors(house: House) -> Iterator[str]:
    """What another room imports is named in the room's `__all__`, and nothing else is: a room's
    `__init__` is a docstring and that list."""
    used: set[str] = set()
    for file in house.modules:
        for name in house.imports(file):
            room = name.split(".")[1] if "." in name else None
            if room in house.order and room != house.room(file):
                used.add(name)
    for room in house.order:
        file = house.source / room / "__init__.py"
        listed, other = _all_of(file)
        if other or not ast.get_docstring(_parsed(file)):
            yield f"{room}/__init__.py is not a docstring and `__all__`"
        prefix = f"{house.source.name}.{room}."
        found = {name.removeprefix(prefix) for name in used if name.startswith(prefix)}
        yield from (f"{prefix}{name} is no door" for name in sorted(found - set(listed)))
        yield from (f"{prefix}{name} is a door to nobody" for name in sorted(set(listed) - found))


def processes_are_asked(house: House) -> Iterator[str]:
    """Nobody imports a module that is a process of its own."""
    for file in house.modules:
        for name in house.imports(file):
            if name.endswith("_process") and name != house.name(file):
                yield f"{house.name(file)} imports {name}"


def heavy_imports_wait(house: House) -> Iterator[str]:
    """What takes long to import is imported inside functions."""
    for file in house.modules:
        tree = _parsed(file)
        top = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
        outside = ast.Module(body=top, type_ignores=[])
        for name in imported(outside, for_types=False):
            if name.split(".")[0] in HEAVY:
                yield f"{house.name(file)} imports {name}"


def short_modules(house: House) -> Iterator[str]:
    """No module is longer than a reader's patience."""
    for file in house.modules:
        lines = len(file.read_text("utf-8").splitlines())
        if lines > LONGEST:
            yield f"{house.name(file)} has {lines} lines"


def nothing_is_run(house: House) -> Iterator[str]:
    """Nothing is unpickled, evaluated or given to a shell; `assert` is for tests."""
    for file in house.modules:
        if found := FORBIDDEN.search(file.read_text("utf-8")):
            yield f"{house.name(file)}: {found[0]}"


def imported(tree: ast.AST, for_types: bool = True) -> Iterator[str]:
    """Yield the names that code imports, with their modules'."""
    for node in ast.iter_child_nodes(tree):
        if not for_types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imported(node, for_types)


def _all_of(file: Path) -> tuple[list[str], bool]:
    """Return what a room's `__init__` lists, and whether there is more in it than that."""
    listed: list[str] = []
    other = False
    for node in _parsed(file).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            listed = list(ast.literal_eval(node.value))
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            other = True
    return listed, other


@cache
def _imported(code: str) -> tuple[str, ...]:
    return tuple(imported(_tree(code)))


def _parsed(file: Path) -> ast.Module:
    return _tree(file.read_text("utf-8"))


@cache
def _tree(code: str) -> ast.Module:
    return ast.parse(code)


RULES = (
    rooms_are_listed, floors, one_way, no_circles, doors, processes_are_asked, heavy_imports_wait,
    short_modules, nothing_is_run,
)  # fmt: skip
