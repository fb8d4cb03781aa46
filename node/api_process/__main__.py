"""The API process: `python -m node.api_process`, spoken to over its standard input and output."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Final

from node.memory import give_back_free_memory
from node.pipe_frames import own_pipes, read_frame
from node.priority import interrupt_nobody, leave_session

NICENESS: Final = 10
"""A round goes before a request."""
SWITCH_S: Final = 0.0005
"""How long one thread may keep the others from the interpreter: the loop goes on while others read."""


def main() -> None:
    """Serve until the node says to stop, or is gone."""
    source, sink = own_pipes()
    # The node says when to stop: a signal to all of a service's processes must not cut its requests short.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leave_session()
    os.nice(NICENESS)
    interrupt_nobody()
    give_back_free_memory()
    sys.setswitchinterval(SWITCH_S)
    # Two seconds of a core, which a node that starts needs more.
    from node.api_process.serving import serve
    from node.api_process.wire import FRAME_BYTES_MAX

    first = read_frame(source, FRAME_BYTES_MAX)
    if first is None:
        return
    code = serve(first, source, sink)
    logging.shutdown()
    # A read that is still at work in a thread keeps nobody waiting.
    os._exit(code)


if __name__ == "__main__":
    main()
