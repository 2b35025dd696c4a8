"""What a logged-in window's widgets ask for, joined to the connection and the librarian that do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iirs.client.engine import Engine
from iirs.client.model.actions import Requests
from iirs.client.model.background import Librarian
from iirs.client.server_connection import ServerConnection


@dataclass(frozen=True, slots=True)
class WindowActions:
    """Those requests that the window itself answers."""

    open: Callable[[str], None]
    send: Callable[[str, str], bool]
    older: Callable[[str], None]
    around: Callable[[str, bytes], None]
    show_safety: Callable[[str], None]
    show_settings: Callable[[], None]
    lock: Callable[[], None]
    log_out: Callable[[], None]


def requests_for(connection: ServerConnection, librarian: Librarian, window: WindowActions) -> Requests:
    """Return the requests of a window; each returns at once."""

    def tell(function: Callable[[Engine], object]) -> None:
        connection.call(function)

    return Requests(
        ask=connection.ask,
        decline=lambda peer: tell(lambda engine: engine.desk.decline(peer)),
        hang_up=connection.hang_up,
        open=window.open,
        send=window.send,
        send_file=librarian.send_file,
        pause=lambda file_id: tell(lambda engine: engine.desk.pause(file_id)),
        cancel=lambda file_id: tell(lambda engine: engine.desk.cancel(file_id)),
        save=librarian.save,
        picture=librarian.read_picture,
        around=window.around,
        older=window.older,
        search=librarian.search,
        export=librarian.export,
        delete=lambda talk, item: tell(lambda engine: engine.desk.delete(talk, item)),
        clear=librarian.clear,
        set_timer=lambda talk, seconds: tell(lambda engine: engine.desk.set_timer(talk, seconds)),
        create_group=lambda name, people: tell(lambda engine: engine.desk.create_group(name, people)),
        join_group=lambda key: tell(lambda engine: engine.desk.join_group(key)),
        leave_group=lambda key: tell(lambda engine: engine.desk.leave_group(key)),
        show_safety=window.show_safety,
        verify=lambda name, verified: tell(lambda engine: engine.desk.verify(name, verified)),
        accept_keys=lambda name: tell(lambda engine: engine.desk.accept_keys(name)),
        show_settings=window.show_settings,
        lock=window.lock,
        log_out=window.log_out,
    )
