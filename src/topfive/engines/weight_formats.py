"""Weight files of every kind → tensors by name.

The files are hostile: nothing is unpickled, no layer is made from what a file says, no link
inside a file is followed, and of an archive one member is read.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from topfive.errors import WeightsError

ZIP_MAGIC = b"PK\x03\x04"
ZIP_MEMBER = "model.weights.h5"
SEED = "seed_generator"  # dropout's random state, which no weight depends on
ZIP_SLACK = 64 << 20


@contextmanager
def open_hdf5(file: Path, most: int) -> Iterator[Any]:
    """Open an HDF5 file, or the one inside a `.keras` archive if it has at most `most` bytes.

    Raises:
        WeightsError: the file is cut or damaged; also for what is read inside the block.
    """
    import h5py

    try:
        with file.open("rb") as stream:
            if stream.read(len(ZIP_MAGIC)) != ZIP_MAGIC:
                with h5py.File(file, "r") as content:
                    yield content
                return
            with tempfile.TemporaryFile() as unpacked:
                _unpack(stream, unpacked, most)
                with h5py.File(unpacked, "r") as content:
                    yield content
    # h5py raises all of these for one damaged byte or another.
    except (OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"cut off or damaged: {_one_line(error)}") from error


def is_legacy(content: Any) -> bool:
    """Whether the file is of Keras 1 or 2.

    Raises:
        WeightsError: it is not Keras's at all.
    """
    if "layer_names" in content.attrs or "layer_names0" in content.attrs:
        return True
    if "model_weights" in content:
        return True
    if "layers" in content or "_layer_checkpoint_dependencies" in content:
        return False
    raise WeightsError(
        "HDF5, but not Keras's weights: expected 'layer_names', 'model_weights' or 'layers' "
        f"in it, found {sorted(content)[:5]}"
    )


def legacy_tensors(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and tensors of a Keras 1 or 2 file in the order in which it lists them."""
    whole_model = "layer_names" not in content.attrs and "layer_names0" not in content.attrs
    group = member(content, "model_weights") if whole_model else content
    for layer in _listed(group, "layer_names"):
        folder = member(group, layer)
        for name in _listed(folder, "weight_names"):
            yield name, member(folder, name)


def keras3_tensors(content: Any, paths: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a Keras 3 file at `paths`, then those at other places.

    Keras 3 files of 2023 call the folder `layers` something else.
    """
    import h5py

    top = "layers" if "layers" in content else "_layer_checkpoint_dependencies"
    wanted = [path.replace("layers/", f"{top}/") for path in paths]
    for path in wanted:
        yield path, member(content, path)
    found: list[str] = []
    content[top].visititems(
        lambda name, item: found.append(f"{top}/{name}") if isinstance(item, h5py.Dataset) else None
    )
    for path in found:
        if path not in wanted and SEED not in path:
            yield path, member(content, path)


def member(group: Any, name: str) -> Any:
    """Walk down to a member, through plain links only: others lead to other files."""
    import h5py

    for part in name.split("/"):
        link = group.get(part, getlink=True) if part and part in group else None
        if not isinstance(link, h5py.HardLink):
            kind = "is not in the file" if link is None else f"is a {type(link).__name__}"
            raise WeightsError(f"{name!r} {kind}; expected an array there")
        group = group[part]
        if not isinstance(group, h5py.Group):
            break
    return group


def _listed(group: Any, attribute: str) -> list[str]:
    """Read a list of names, which Keras splits in chunks where it is over 64 KB."""
    if attribute in group.attrs:
        names = list(group.attrs[attribute])
    else:
        names, chunk = [], 0
        while f"{attribute}{chunk}" in group.attrs:
            names += list(group.attrs[f"{attribute}{chunk}"])
            chunk += 1
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]


def _unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            if ZIP_MEMBER not in archive.namelist():
                raise WeightsError(f"no {ZIP_MEMBER} in it, so not a .keras file")
            info = archive.getinfo(ZIP_MEMBER)
            if info.file_size > most + ZIP_SLACK:
                raise WeightsError(
                    f"{ZIP_MEMBER} has {info.file_size:,} bytes, far more than the network needs"
                )
            # The reader stops at the size just checked, whatever the data unpack to.
            with archive.open(info) as source:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise WeightsError(f"cut off or damaged: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
