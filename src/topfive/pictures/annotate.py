"""Draw the first prediction on a picture, save it, show it."""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from topfive.errors import OutputError, PictureError, UsageError
from topfive.results import Classification
from topfive.sources import own_output
from topfive.system import files

MIN_WIDTH = 200  # pixels; a smaller picture is enlarged, or its label could not be read
LETTER_HEIGHT = 1 / 18  # of the shorter side
MIN_LETTER = 15  # pixels
PLATE, LETTERS = (0, 0, 0, 170), (255, 255, 255, 255)
SUFFIXES = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".webp": "WEBP"}
SOFTWARE = 0x131  # Exif's tag


def draw(picture: Image.Image, result: Classification) -> Image.Image:
    """Return a copy of an RGB picture with `label: 93.43%` at its top.
    White letters on a dark plate read on any picture; their size follows the picture's."""
    if picture.width < MIN_WIDTH:
        scale = MIN_WIDTH / picture.width
        picture = picture.resize((MIN_WIDTH, max(1, round(picture.height * scale))))
    best = result.predictions[0]
    size = max(MIN_LETTER, round(min(picture.size) * LETTER_HEIGHT))
    font = ImageFont.load_default(size)
    margin = size // 2
    lines = _wrap(f"{best.label}: {best.probability:.2%}", font, picture.width - 2 * margin)
    plate_height = min(picture.height, round(1.3 * size * len(lines)) + margin)
    layer = Image.new("RGBA", (picture.width, plate_height))
    drawing = ImageDraw.Draw(layer)
    widest = max(font.getlength(line) for line in lines)
    drawing.rectangle((0, 0, round(widest) + 2 * margin, plate_height), fill=PLATE)
    for number, line in enumerate(lines):
        drawing.text((margin, margin // 2 + round(1.3 * size * number)), line, LETTERS, font)
    drawn = picture.copy()
    drawn.paste(layer, (0, 0), layer)
    return drawn


def check_target(target: Path, several: bool, force: bool = False) -> None:
    """Raise a `UsageError` where `save` could not write to `target`; before any work is done."""
    if target.is_dir():
        return
    if several and target.exists():
        raise UsageError(f"--save {target}: several pictures need a folder, this is a file")
    if not several and target.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"--save {target}: expected a name that ends in {', '.join(SUFFIXES)}, or a folder"
        )
    if not several:
        files.check_free(target, force)


def save(
    drawn: Image.Image, source: str, target: Path, taken: set[Path], force: bool = False
) -> Path:
    """Write a drawn picture to the file `target`, or into it if it is a folder.

    In a folder it is named after its source, with a number where that name is taken; `taken`
    holds the names of this run. With `force` it takes the place of what is at `target`, and in
    a folder, of what an earlier run drew. The file appears only when it is whole, and is never
    the picture that was classified.

    Raises:
        PictureError: it cannot be written.
    """
    file = target if target.suffix.lower() in SUFFIXES and not target.is_dir() else None
    try:
        if file is None:
            target.mkdir(parents=True, exist_ok=True)
            file = _save_named(drawn, source, target, taken, force)
        else:
            if file.exists() and Path(source).exists() and file.samefile(source):
                raise PictureError("unsaved", f"{file} is the picture itself: save it elsewhere")
            with files.replacing(file, force or file in taken) as part:
                _write(drawn, part, SUFFIXES[file.suffix.lower()])
    except OutputError as error:
        raise PictureError("unsaved", str(error)) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise PictureError("unsaved", f"cannot write {file or target}: {reason}") from error
    taken.add(file)
    return file


def _save_named(
    drawn: Image.Image, source: str, folder: Path, taken: set[Path], force: bool
) -> Path:
    stem = _stem(source)
    with files.writing(folder / f"{stem}.jpg") as part:
        _write(drawn, part, "JPEG")
        for number in count(1):
            file = folder / (f"{stem}-{number}.jpg" if number > 1 else f"{stem}.jpg")
            if file not in taken and files.give(part, file, force and _is_drawn(file)):
                return file
    raise AssertionError("there are more numbers than files")


def _is_drawn(file: Path) -> bool:
    return not file.is_symlink() and own_output.is_own(str(file))


def _write(drawn: Image.Image, file: Path, format: str) -> None:
    """Save a picture with the remark that tells it from photographs."""
    if format == "JPEG":
        drawn.save(file, format, quality=92, comment=own_output.MARK)
    elif format == "PNG":
        notes = PngInfo()
        notes.add_text("Software", own_output.MARK)
        drawn.save(file, format, pnginfo=notes)
    else:
        exif = Image.Exif()
        exif[SOFTWARE] = own_output.MARK
        drawn.save(file, format, exif=exif)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> list[str]:
    """Break the text after spaces and underscores so that each line fits, if it can."""
    lines: list[str] = []
    for word in re.findall(r".+?(?:[ _]+|$)", text):
        if lines and font.getlength((lines[-1] + word).rstrip()) <= width:
            lines[-1] += word
        else:
            lines.append(word)
    return [line.rstrip(" ") for line in lines]


def _stem(source: str) -> str:
    stem = Path(source).stem if source != "-" else "stdin"
    # A source may be an address: its name is a stranger's.
    return re.sub(r"[^\w.\- ]", "_", stem).strip(". ")[:100] or "picture"
