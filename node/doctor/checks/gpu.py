"""The GPU a validator may score on. torch is asked in a process of its own, where there is a card."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from config.settings import Settings
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Role, Subject
from node.scoring_worker.launch import environment

ASKED_WITHIN_S: Final = 20.0
_NAME: Final = "gpu"
_SMI: Final = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader")
_ASK: Final = (
    "import json, torch; on = torch.cuda.is_available(); "
    "print(json.dumps([torch.version.cuda, on, torch.cuda.get_device_name(0) if on else None]))"
)
_CUDA_LINE: Final = "cuda: Optional[str] ="


@dataclass(frozen=True, slots=True)
class Graphics:
    """What is known of cards and of torch."""

    cards: tuple[str, ...]
    """As nvidia-smi names them."""
    cuda_build: str | None
    """The CUDA of the installed torch, None for its CPU build."""
    usable: str | None
    """The card as torch names it; None where it can use none, or was not asked."""


def check(subject: Subject) -> list[Finding]:
    """Look, as far as the settings make it matter, and judge."""
    if subject.role is Role.ENCODER:
        return [ok(_NAME, "an encoder's model chooses its device itself")]
    return judge(look(subject.settings), subject.settings)


def look(settings: Settings) -> Graphics:
    """Cards by the driver's tool, the build of torch by its files; torch itself only where it may use one."""
    cards, build = _cards(), _cuda_build()
    worth_asking = settings.device != "cpu" and build is not None and (cards or settings.device == "cuda")
    return Graphics(cards, build, _usable() if worth_asking else None)


def judge(it: Graphics, settings: Settings) -> list[Finding]:
    """Whether the device that is set can be had, and whether a card lies idle."""
    cards = "; ".join(it.cards) or "no card found by nvidia-smi"
    build = "the CPU build of torch" if it.cuda_build is None else f"torch for CUDA {it.cuda_build}"
    if settings.device == "cpu":
        return [ok(_NAME, f"device = cpu; {cards}")]
    if it.usable is not None:
        return [ok(_NAME, f"{it.usable} ({build})")]
    if settings.device == "cuda":
        return [
            error(
                _NAME,
                f"device = cuda ({settings.origin('device')}), and torch can use none: {cards}, {build}",
                "the scoring process does not start, so this validator neither scores nor attests",
                'set device = "auto", or torch\'s CUDA build and the driver (README, torch: CPU or GPU)',
            )
        ]
    if it.cards and it.cuda_build is None:
        return [
            note(
                _NAME,
                f"{cards}, and {build}",
                "scoring takes place on the CPU, which is enough for small shards",
                "install torch's CUDA build (README, torch: CPU or GPU)",
            )
        ]
    if it.cards:
        return [
            warning(
                _NAME,
                f"{cards}, and {build} cannot use it",
                "scoring takes place on the CPU; driver and CUDA may not fit each other",
                '`nvidia-smi` shows which CUDA the driver knows; update the driver, or set device = "cpu"',
            )
        ]
    return [ok(_NAME, f"{cards}; scoring takes place on the CPU ({build})")]


def _cards() -> tuple[str, ...]:
    if shutil.which(_SMI[0]) is None:
        return ()
    try:
        done = subprocess.run(
            _SMI, capture_output=True, text=True, timeout=5, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip()[:200] for line in done.stdout.splitlines()[:16]) if not done.returncode else ()


def _cuda_build() -> str | None:
    """From the file that torch keeps its version in: importing it takes a second and 365 MB."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        lines = Path(spec.origin).with_name("version.py").read_text().splitlines()
    except OSError:
        return None
    said = next(
        (line.removeprefix(_CUDA_LINE).strip() for line in lines if line.startswith(_CUDA_LINE)), "None"
    )
    return None if said == "None" else said.strip("'\"")


def _usable() -> str | None:
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _ASK],
            capture_output=True,
            text=True,
            timeout=ASKED_WITHIN_S,
            check=False,
            stdin=subprocess.DEVNULL,
            env=environment(threads=1),
        )
        _, on, name = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return str(name) if on else None
