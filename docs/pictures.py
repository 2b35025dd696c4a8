"""Takes the pictures of the README: ``xvfb-run -a -s "-screen 0 1280x900x24" python docs/pictures.py``.

Real windows and a real server on loopback, with people who say what is written here. Needs a screen and
ImageMagick's ``import``.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
import tkinter as tk
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).parent.parent))

from iirs.client.events import PeerState
from iirs.client.store.log_entry import TransferState
from iirs.client.store.preferences import ColourScheme, Preferences
from iirs.client.window.navigation import Page
from iirs.client.window.start import Start
from iirs.client.window.theme.theme import Theme
from iirs.client.window.window import ClientWindow
from tests.harness import FAST_BACKOFF, PASSWORD, Person, Town, town

FOLDER = Path(__file__).parent / "images"
PEOPLE = ("alice", "bob", "carol", "dave")


class Studio:
    """One window at a time, and what it takes to photograph it."""

    def __init__(self) -> None:
        self.root = tk.Tk(className="Iirs")
        self.root.withdraw()
        self.theme = Theme(self.root)

    def pump(self, condition: Callable[[], bool], seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            self.root.update()
            time.sleep(0.005)
            if time.monotonic() > deadline:
                raise SystemExit("what should be photographed did not appear")

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self.pump(lambda: time.monotonic() > until)

    def take(self, window: ClientWindow, name: str) -> None:
        window.window.geometry("+40+30")
        window.window.lift()
        self.rest(0.7)
        target = FOLDER / f"{name}.png"
        subprocess.run(["import", "-window", str(window.window.winfo_id()), str(target)], check=True)
        print(target)


def holiday() -> bytes:
    """Return a picture of hills and a sun."""
    picture = Image.new("RGB", (480, 300), "#9fd0f5")
    draw = ImageDraw.Draw(picture)
    draw.ellipse((350, 30, 430, 110), fill="#ffd75e")
    for x, y, size, colour in ((-80, 160, 360, "#5c9a5f"), (140, 190, 460, "#3f7d4c")):
        draw.ellipse((x, y, x + size, y + size), fill=colour)
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()


def prepare(place: Town, scheme: ColourScheme) -> None:
    folder = place.home("alice").folder
    Preferences(theme=scheme, link=str(place.link), name="alice").write(folder)


def enter(studio: Studio, place: Town, *, new: bool) -> ClientWindow:
    window = ClientWindow(
        tk.Toplevel(studio.root),
        studio.theme,
        place.home("alice"),
        Start(str(place.link), options=FAST_BACKOFF),
    )
    page = window.login_page
    assert page is not None
    studio.rest(0.3)
    if new:
        page.kinds["Register"].invoke()
        studio.take(window, "first-run")
    for entry, value in ((page.name_entry, "alice"), (page.password_entry, PASSWORD)):
        entry.delete(0, "end")
        entry.insert(0, value)
    page.submit()
    studio.pump(lambda: window.main_page is not None and set(PEOPLE) <= set(window.model.people))
    return window


def talk(studio: Studio, window: ClientWindow, bob: Person, folder: Path) -> None:
    """Have alice and bob say a few things, and bob send a picture."""
    page = window.main_page
    assert page is not None
    bob.connection.ask("alice")
    page.ask("bob")
    studio.pump(lambda: window.model.talk("bob").state is PeerState.CONNECTED)
    lines = (
        ("bob", "Are you coming to the lake tomorrow?"),
        ("alice", "Yes! Who else?"),
        ("bob", "carol and dave. Look, that was last year:"),
    )
    for who, text in lines:
        before = len(window.model.talk("bob").rows)
        if who == "bob":
            bob.connection.send("alice", text)
        else:
            window.session.connection.send("bob", text)  # type: ignore[union-attr]
        studio.pump(lambda count=before: len(window.model.talk("bob").rows) > count)  # type: ignore[misc]
    bob.connection.call(lambda engine: engine.messenger.send_file("alice", "lake.png", holiday()))
    rows = window.model.talk("bob").rows
    studio.pump(lambda: any(row.transfer is TransferState.DONE for row in rows))
    (folder / "notes.pdf").write_bytes(bytes(120_000))
    page.chat._send_file(folder / "notes.pdf")
    window.session.connection.send("bob", "Nobody can see that we talk about it.")  # type: ignore[union-attr]
    studio.pump(lambda: any(row.done > 0 and row.outgoing for row in rows if row.file))
    studio.rest(1.0)


def found_group(studio: Studio, window: ClientWindow, people: list[Person]) -> None:
    page = window.main_page
    assert page is not None
    page.new_group()
    group = page.page
    assert group is not None
    group.name_entry.insert(0, "Lake tomorrow")  # type: ignore[attr-defined]
    for person in people:
        group.toggle(person.name)  # type: ignore[attr-defined]
    studio.take(window, "new-group")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    if shutil.which("import") is None:
        raise SystemExit("ImageMagick's import is needed to take pictures")
    studio = Studio()
    studio.rest(1.5)  # until it is known whether this screen draws emoji
    with tempfile.TemporaryDirectory() as name, town(Path(name), round_seconds=0.4) as place:
        people = {person: place.person(person) for person in PEOPLE[1:]}
        prepare(place, ColourScheme.LIGHT)
        window = enter(studio, place, new=True)
        talk(studio, window, people["bob"], Path(name))
        people["carol"].connection.ask("alice")
        studio.pump(lambda: "carol" in window.model.asking)
        studio.take(window, "talk")
        window.state.change("theme", ColourScheme.DARK)
        studio.take(window, "talk-dark")
        page = window.main_page
        assert page is not None
        page.show_safety("bob")
        studio.take(window, "safety-number-dark")
        window.state.change("theme", ColourScheme.LIGHT)
        found_group(studio, window, [people["bob"], people["carol"], people["dave"]])
        window.navigator.open(Page.SETTINGS)
        studio.take(window, "settings")
        window.lock()
        studio.take(window, "locked")
        for _ in range(2):
            window.close()
        studio.pump(lambda: not window.is_open)


if __name__ == "__main__":
    main()
