"""A screen of this process's own: windows of several workers would take the keyboard from each other."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from contextlib import ExitStack

SIZE = "1440x1024x24"


def has_virtual_screens() -> bool:
    """Return whether this machine can make screens; if not, windows open on the person's, if there is one."""
    return sys.platform == "linux" and shutil.which("Xvfb") is not None


class VirtualScreen:
    """Xvfb and, if it is installed, a window manager on it."""

    def __init__(self) -> None:
        self._processes = ExitStack()
        self._started = False

    def start(self) -> None:
        """Point DISPLAY at a new screen; nothing happens the second time, or where no screen can be made."""
        if self._started or not has_virtual_screens():
            return
        self._started = True
        number = self._run(r"\d+", "Xvfb", "-displayfd", "1", "-screen", "0", SIZE, "-nolisten", "tcp")
        os.environ["DISPLAY"] = f":{number}"
        if shutil.which("openbox"):
            self._run("ready", "openbox", "--startup", "echo ready")

    def stop(self) -> None:
        """End what was started, the window manager before the screen."""
        self._processes.close()

    def _run(self, ready: str, *command: str) -> str:
        """Start a program; return the line it says when it is ready, whatever it says before."""
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self._processes.callback(process.wait)
        self._processes.callback(process.terminate)
        assert process.stdout is not None
        for line in process.stdout:
            if re.fullmatch(ready, line.strip()):
                return line.strip()
        raise AssertionError(f"{command[0]} did not start")
