"""What `deltamesh encoder eval` takes from a data directory, and its rows with a progress bar."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from node.cli.errors import CommandError, ExitCode
from node.cli.load_bar import load_bar
from node.cli.options import existing_directory, genesis_of, reading_store, settings_of
from node.cli.output import note, progress

if TYPE_CHECKING:
    from node.evaluation.consensus import Published
    from node.evaluation.data import LabelledData
    from node.evaluation.exam import Exam
    from node.evaluation.models import Opening
    from node.evaluation.row_store import Row


def opening_of(network: str, home: Path | None, otherwise: Opening) -> Opening:
    """As the encoder of a network here opens its model: its reference, and the maps it goes by.

    Raises CommandError, ConfigError.
    """
    from node.encoders.alignment_store import FOLDER_NAME
    from node.encoders.own_alignment import Target

    directory = existing_directory(settings_of(home, network))
    parameters = genesis_of(directory).parameters
    if parameters.modality != otherwise.modality:
        raise CommandError(
            f"{network} embeds {parameters.modality}: say --modality {parameters.modality}",
            ExitCode.BAD_INPUT,
        )
    return replace(
        otherwise,
        reference=otherwise.reference or parameters.reference_encoder,
        maps=directory.root / FOLDER_NAME,
        target=Target.CONSENSUS,
    )


def measured(names: Sequence[str], how: Opening, exam: Exam, folder: Path) -> list[Row]:
    """Rows of the models, one after the other, then of the baselines. Finished ones are kept in the folder.

    Raises EncoderError, EvaluationError, OSError.
    """
    from node.evaluation.models import baselines, open_model
    from node.evaluation.row_store import RowStore
    from node.evaluation.run import question_of, row_of

    store = RowStore(folder, question_of(exam))
    rows = []
    for name in names:
        bar = load_bar(name)
        if bar is None:
            note(f"Loading {name} ...")
        with bar or nullcontext() as on_anchors:
            model = open_model(name, how, on_anchors)
        with progress(f"asking {name}", len(exam.views)) as asked:
            rows.append(row_of(model, exam, store, asked.step))
    return rows + [row_of(one, exam, store, lambda _: None) for one in baselines(exam.data)]


def consensus_of(source: str, home: Path | None, data: LabelledData) -> Published:
    """Consensus embeddings of the items, from an export or the store of a network's validator.

    Raises CommandError, ConfigError, EvaluationError, SpaceError, StoreError.
    """
    from node.evaluation.consensus import published_in_file, published_in_store
    from node.space import open_space

    ids = [item.id for item in data.items]
    if Path(source).suffix:
        return published_in_file(Path(source), ids)
    directory = existing_directory(settings_of(home, source))
    genesis = genesis_of(directory)
    with reading_store(directory) as store:
        if store is None:
            raise CommandError(
                f"{directory.root} has no store yet: run its validator, and submit the items",
                ExitCode.NODE_STATE,
            )
        return published_in_store(store, open_space(genesis, store), ids)
