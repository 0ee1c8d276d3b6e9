"""Weight files of every kind → tensors by name.
The files are hostile: nothing is unpickled, no layer is made from what a file says, no link
inside a file is followed, and of an archive one member is read."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import count, product, takewhile
from pathlib import Path
from typing import IO, Any

from topfive.errors import WeightsError
from topfive.system.files import open_regular

ZIP_MAGIC = b"PK\x03\x04"
ZIP_MEMBER = "model.weights.h5"
SEED = "seed_generator"  # dropout's random state, which no weight depends on
ZIP_SLACK, ZIP_RATIO = 64 << 20, 20  # bytes; weights hardly get smaller, but fresh ones
MOST_DEPTH = 32  # groups inside each other
MOST_PARTS, PART_SLACK = 100_000, 1 << 20  # parts of an array, bytes


@contextmanager
def open_hdf5(file: Path, most: int) -> Iterator[Any]:
    """Open an HDF5 file, or the one inside a `.keras` archive if it has at most `most` bytes.

    Raises:
        WeightsError: the file is cut or damaged; also for what is read inside the block.
    """
    import h5py

    try:
        with open_regular(file) as stream, ExitStack() as stack:
            source: Any = file
            if stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
                source = stack.enter_context(tempfile.TemporaryFile())
                _unpack(stream, source, most)
            with h5py.File(source, "r") as content:
                yield content
    # h5py raises all of these for one damaged byte or another.
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, zlib.error) as error:
        raise WeightsError(f"cut off or damaged: {_one_line(error)}") from error


def is_legacy(content: Any) -> bool:
    """Whether the file is of Keras 1 or 2.

    Raises:
        WeightsError: it is not Keras's at all.
    """
    if content.attrs.keys() & {"layer_names", "layer_names0"} or "model_weights" in content:
        return True
    if "layers" in content or "_layer_checkpoint_dependencies" in content:
        return False
    raise WeightsError(
        "HDF5, but not Keras's weights: expected 'layer_names', 'model_weights' or 'layers' "
        f"in it, found {sorted(content)[:5]}"
    )


def legacy_tensors(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield names and tensors of a Keras 1 or 2 file in the order in which it lists them."""
    weights_only = content.attrs.keys() & {"layer_names", "layer_names0"}
    group = content if weights_only else member(content, "model_weights")
    for layer in _listed(group, "layer_names"):
        folder = member(group, layer)
        for name in _listed(folder, "weight_names"):
            yield name, member(folder, name)


def keras3_tensors(content: Any, paths: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the tensors of a Keras 3 file at `paths`, then those at other places.
    Keras 3 files of 2023 call the folder `layers` something else."""
    top = "layers" if "layers" in content else "_layer_checkpoint_dependencies"
    wanted = [path.replace("layers/", f"{top}/") for path in paths]
    for path in wanted:
        yield path, member(content, path)
    for path in _arrays_in(member(content, top), top, set()):
        if path not in wanted and SEED not in path:
            yield path, member(content, path)


def _arrays_in(group: Any, place: str, seen: set[int], depth: int = 1) -> Iterator[str]:
    """Yield where the arrays in a group are, each once: HDF5's own way of it has no bounds."""
    import h5py

    if depth > MOST_DEPTH or not isinstance(group, h5py.Group):
        raise WeightsError(f"{place[:100]!r} is no group, or too many are inside each other")
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.HardLink):
            item, path = group[name], f"{place}/{name}"
            address = h5py.h5o.get_info(item.id).addr
            if address not in seen and isinstance(item, h5py.Dataset):
                yield path
            elif address not in seen and isinstance(item, h5py.Group):
                seen.add(address)
                yield from _arrays_in(item, path, seen, depth + 1)
            seen.add(address)


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


def check_packing(name: str, dataset: Any) -> None:
    """Refuse an array whose parts would unpack to more than itself: HDF5 makes room for all.

    Raises:
        WeightsError: they would, or are packed in another way than by gzip, once.
    """
    import h5py

    parts = getattr(dataset, "chunks", None)
    if parts is None:
        return
    plan = dataset.id.get_create_plist()
    filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
    known = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    size = math.prod(parts) * dataset.dtype.itemsize
    starts = [range(0, side, step) for side, step in zip(dataset.shape, parts, strict=True)]
    if not known.issuperset(filters) or len({*filters}) < len(filters):
        raise WeightsError(f"{name!r} is packed; expected gzip, or nothing")
    if size > 2 * dataset.nbytes + PART_SLACK or math.prod(map(len, starts)) > MOST_PARTS:
        raise WeightsError(f"{name!r} is in parts of {size:,} bytes, for {dataset.nbytes:,}")
    if h5py.h5z.FILTER_DEFLATE not in filters or not dataset.id.get_storage_size():
        return
    for start in product(*starts):
        skipped, packed = dataset.id.read_direct_chunk(start)
        if skipped or len(zlib.decompressobj().decompress(packed, size + 5)) > size + 4:
            raise WeightsError(f"{name!r} unpacks to more than its {size:,} bytes")


def _listed(group: Any, attribute: str) -> list[str]:
    """Read a list of names, which Keras splits in chunks where it is over 64 KB."""
    chunks = takewhile(group.attrs.__contains__, (f"{attribute}{number}" for number in count()))
    keys = [attribute] if attribute in group.attrs else chunks
    names = [name for key in keys for name in group.attrs[key]]
    return [name.decode("utf-8") if isinstance(name, bytes) else str(name) for name in names]


def _unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    try:
        with zipfile.ZipFile(stream) as archive:
            if ZIP_MEMBER not in archive.namelist():
                raise WeightsError(f"no {ZIP_MEMBER} in it, so not a .keras file")
            info = archive.getinfo(ZIP_MEMBER)
            packed = os.fstat(stream.fileno()).st_size
            if info.file_size > min(most, ZIP_RATIO * packed) + ZIP_SLACK:
                raise WeightsError(
                    f"{ZIP_MEMBER} has {info.file_size:,} bytes, far more than the network needs, "
                    f"or than {packed:,} can hold"
                )
            # The reader stops at the size just checked, whatever the data unpack to.
            with archive.open(info) as source:
                shutil.copyfileobj(source, sink, 1 << 20)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise WeightsError(f"cut off or damaged: {_one_line(error)}") from error


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
