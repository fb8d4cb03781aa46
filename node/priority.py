"""How a process lets others go first."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

_AUTOGROUP: Final = Path("/proc/self/autogroup")
_TRIES: Final = 3
_TRY_AGAIN_S: Final = 0.15


def leave_session() -> None:
    """Start a session of this process's own, where it has none yet, so that `give_way` may speak for it."""
    with suppress(PermissionError):  # it leads its process group
        os.setsid()


def interrupt_nobody() -> None:
    """Let this process wake up without interrupting another: it waits until that pauses or has had its turn.

    For a process that wakes up often and for a moment: however nice it is, Linux else lets it interrupt
    whoever has run longest, which is who has most to do. The threads and processes that it starts from now on
    do the same. Does nothing on other systems.
    """
    if sys.platform != "linux":
        return
    with suppress(OSError):  # a container may not let it
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def give_way(autogroup: Path = _AUTOGROUP) -> None:
    """Let this process's session be as nice to others as this thread is.

    Linux shares cores out by sessions first (sched(7), "The autogroup feature"), and niceness counts within
    one only: of two processes of two sessions the nicer one gets as much as the other. Does nothing where
    there is no such feature, or where others share the session, which would be slowed as well.
    """
    if os.getsid(0) != os.getpid():
        return
    for _ in range(_TRIES):
        try:
            autogroup.write_text(str(os.nice(0)))
        except BlockingIOError:
            # The kernel takes ten a second, of all processes.
            time.sleep(_TRY_AGAIN_S)
        except OSError:
            return
        else:
            return
