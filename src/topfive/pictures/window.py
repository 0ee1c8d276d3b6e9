"""A picture in a window."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from PIL import Image

from topfive.errors import EngineError

if TYPE_CHECKING:
    import tkinter


def show(drawn: Image.Image, title: str) -> bool:
    """Show a picture until a key is pressed or the window is closed.

    Returns whether to go on with the next one: not after Escape, `q` or closing.

    Raises: see `open_window`.
    """
    window = open_window()
    import tkinter

    keys: list[str] = []  # what ended the show
    window.title(title)
    room = (window.winfo_screenwidth() * 9 // 10, window.winfo_screenheight() * 8 // 10)
    shown = drawn.copy()
    shown.thumbnail(room)
    # PPM is what Tk reads without ImageTk, which some distributions package apart.
    header = f"P6 {shown.width} {shown.height} 255\n".encode()
    photo = tkinter.PhotoImage(master=window, data=header + shown.tobytes())
    tkinter.Label(window, image=photo, borderwidth=0).pack()
    window.bind("<Key>", lambda event: keys.append(event.keysym))
    window.bind("<Button>", lambda _: keys.append(""))
    window.protocol("WM_DELETE_WINDOW", lambda: keys.append("Escape"))
    try:
        # Not Tk's own loop, which sits on Ctrl-C.
        while not keys:
            window.update()
            time.sleep(0.02)
    finally:
        window.destroy()
    return keys[0] not in ("Escape", "q")


def open_window() -> tkinter.Tk:
    """Open an empty window.

    Raises:
        EngineError: there is no screen, or Python has no Tk.
    """
    try:
        import tkinter
    except ImportError as error:
        raise EngineError("cannot show pictures: this Python has no tkinter") from error
    try:
        return tkinter.Tk()
    except tkinter.TclError as error:
        raise EngineError(f"cannot show pictures: {error}") from error
