"""Every hostile file is refused with one clear sentence, before memory is spent on it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from node.corpus import CorpusError
from node.modalities import FileError, items_of_file
from protocol.modalities import MODALITIES
from tests.support.hostile_files import ATTACKS, SOUND_FILES, Attack

GROWTH_MIB_MAX = 32
"""Of a process's peak, by meeting one attack after it has read sound files."""


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_items_of_file__refuses_a_hostile_file_and_says_why(attack: Attack, tmp_path: Path) -> None:
    path = tmp_path / attack.name
    attack.write(path)
    with pytest.raises(FileError, match=attack.reason) as caught:
        items_of_file(attack.modality, path)
    message = str(caught.value)
    assert isinstance(caught.value, CorpusError)
    assert attack.name in message
    # What, why, and after the last colon what to do.
    assert len(message.rsplit(": ", 1)[-1]) > 8
    assert message.endswith(".")
    assert len(message) < 500 + len(str(path))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(SOUND_FILES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=8),
    st.floats(0.5, 1),
)
def test_items_of_file__of_damaged_files_are_canonical_or_refused(
    tmp_path_factory: pytest.TempPathFactory, file: Attack, changes: list[tuple[float, int]], kept: float
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged"
    file.write(path)
    data = bytearray(path.read_bytes())
    for place, value in changes:
        # Squared: headers are at the start, and matter most.
        data[int(place**2 * (len(data) - 1))] = value
    path.write_bytes(data if kept > 0.75 else data[: int(len(data) * kept)])
    try:
        items = items_of_file(file.modality, path)
    except FileError:
        return
    for item in items:
        MODALITIES[file.modality].check(item)


MEASURE = """
import sys
from pathlib import Path
from node.modalities import FileError, items_of_file

def peak_mib():
    # Not getrusage: what it says of a child begins with its parent's peak.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024

folder = Path(sys.argv[1])
before = 0.0
for line in (folder / "list").read_text().split("\\n"):
    modality, name = line.split(" ", 1)
    try:
        items_of_file(modality, folder / name)
    except FileError:
        pass
    print(f"{peak_mib() - before:.1f} {name}")
    before = max(before, peak_mib())
"""


def growths_mib(folder: Path, files: Sequence[Attack]) -> list[tuple[float, str]]:
    """By how much each file, read after those before it in one process, raises that process's peak."""
    for file in files:
        file.write(folder / file.name)
    (folder / "list").write_text("\n".join(f"{file.modality} {file.name}" for file in files))
    measured = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True, timeout=110, check=True
    )
    lines = [line.split(" ", 1) for line in measured.stdout.splitlines()]
    assert [name for _, name in lines] == [file.name for file in files]
    return [(float(growth), name) for growth, name in lines]


@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_items_of_file__spends_little_memory_on_any_attack(tmp_path: Path) -> None:
    growths = growths_mib(tmp_path, [*SOUND_FILES, *ATTACKS])
    growth_mib, name = max(growths[len(SOUND_FILES) :])
    assert growth_mib <= GROWTH_MIB_MAX, name


def _write_largest(path: Path) -> None:
    pixels = np.add.outer(np.arange(7_000), np.arange(7_100)).astype(np.uint8)
    Image.fromarray(pixels).convert("RGBA").save(path, compress_level=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read from /proc")
def test_items_of_file__holds_little_more_than_the_pixels_of_the_largest_image(tmp_path: Path) -> None:
    largest = Attack("largest.png", "image", _write_largest, "")
    growth_mib, _ = growths_mib(tmp_path, [*SOUND_FILES, largest])[-1]
    assert 190 < growth_mib < 300
