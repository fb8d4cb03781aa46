"""Every bound of asking for embeddings, in one place."""

from __future__ import annotations

from typing import Final

INPUTS_MAX: Final = 2_048
"""Inputs of one request, as OpenAI's."""
FILES_MAX: Final = 64
"""Of them where an input is a file: some megabytes of it may be unpacked."""
FILE_BYTES_MAX: Final = 3_100_000
"""One file, decoded from base64: what the body of a request has room for."""
WAITING_MAX: Final = 512
"""Requests that wait for certificates at once."""
WAITING_PER_CLIENT_MAX: Final = 128
"""Of them of one client."""
THREADS_MAX: Final = 4
"""Threads at work on such requests at once, so that those who only read find some free."""
WAIT_MS_MIN: Final = 60_000
WAIT_MS_MAX: Final = 300_000
WAIT_SLOTS: Final = 5
"""How long a request waits: so many slots, within the two bounds above. A round that fails is dealt again."""
LOOK_AGAIN_S: Final = 5.0
"""Without a word of a certificate the store is looked at so often."""
JOBS_MAX: Final = 1_024
"""Jobs kept; beyond it the oldest go. What they asked for is certified all the same."""
JOB_AGE_MS_MAX: Final = 24 * 60 * 60 * 1_000
JOB_BYTES_MAX: Final = 1 << 20
