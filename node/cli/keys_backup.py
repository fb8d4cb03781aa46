"""`deltamesh keys backup` and `restore`: the node's secrets in one encrypted file, and back."""

from __future__ import annotations

import sys
import unicodedata
import warnings
from functools import partial
from getpass import GetPassWarning
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.errors import CommandError, ExitCode
from node.cli.options import (
    HomeOption,
    JsonOption,
    NetworkOption,
    existing_directory,
    place_of,
    role_prepared,
    settings_of,
)
from node.cli.output import moment, note, now_ms, print_facts, print_json, say, short_key

if TYPE_CHECKING:
    from config.datadir import DataDir
    from config.settings import Settings
    from node.backup.sealed import Header

PASSPHRASE_CHARACTERS_MIN = 12
"""Of a passphrase one thinks up; a generated one has eight words."""

PassphraseFileOption = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        metavar="FILE",
        help="Its first line is the passphrase; mode 0600.",
        show_default=False,
    ),
]
PaperOption = Annotated[
    bool,
    typer.Option(
        "--paper", help="The key alone, as 24 words to write down; nothing else.", show_default=False
    ),
]


def backup(
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FILE", help="Write the backup here.", show_default=False)
    ] = None,
    words: Annotated[
        bool,
        typer.Option("--words", help="Make up a passphrase of eight words, shown once.", show_default=False),
    ] = False,
    passphrase_file: PassphraseFileOption = None,
    paper: PaperOption = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Write everything that makes this node, encrypted, into one file: key, pool, hash chain, genesis,
    settings, card, and how far the key has signed.

    Asks for a passphrase, twice, unless one is given. May be done beside the running node.
    """
    directory = existing_directory(settings_of(home, network))
    if paper:
        _check_alone(to, words, passphrase_file)
        _print_words(directory, json_)
        return
    if to is None:
        raise CommandError("say where to: `deltamesh keys backup --to FILE`", ExitCode.USAGE)
    if words and passphrase_file is not None:
        raise CommandError("give --words or --passphrase-file, not both", ExitCode.USAGE)
    _write(directory, to.expanduser(), words, passphrase_file, json_)


def restore(
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A backup.", show_default=False)
    ] = None,
    passphrase_file: PassphraseFileOption = None,
    paper: PaperOption = False,
    home: HomeOption = None,
    network: NetworkOption = None,
    json_: JsonOption = False,
) -> None:
    """Put a backup back into a data directory that has no key yet. Nothing that is there is overwritten.

    Stop the node on the other machine first, for good: one key signs on one machine. The restored node waits
    out the rounds in which the other may have voted, and then watches two more.
    """
    settings = settings_of(home, network)
    if paper:
        _check_alone(file, False, passphrase_file)
        _restore_words(settings, json_)
        return
    if file is None:
        raise CommandError("name the backup: `deltamesh keys restore FILE`", ExitCode.USAGE)
    _restore(settings, file.expanduser(), passphrase_file, json_)


def _write(directory: DataDir, path: Path, words: bool, passphrase_file: Path | None, json_: bool) -> None:
    from node.backup.contents import NO_NETWORK, collect
    from node.backup.sealed import Cost, save_sealed, seal
    from node.backup.words import new_passphrase
    from node.keys import NodeKey
    from protocol.codec import encode

    if path.exists():
        raise CommandError(f"{path} is there, and is not overwritten: take another name", ExitCode.BAD_INPUT)
    # Before the contents are read: what is signed while somebody types would not be in them.
    passphrase = new_passphrase() if words else _passphrase(passphrase_file, twice=True)
    made_ms = now_ms()
    contents, genesis = collect(directory)
    key = NodeKey(contents.key_seed)
    network_id = NO_NETWORK if genesis is None else genesis.network_id
    data = seal(
        encode(contents),
        passphrase.encode(),
        public_key=key.public_key,
        network_id=network_id,
        made_ms=made_ms,
        cost=Cost(),
    )
    save_sealed(path, data)
    rounds = contents.signed[0].rounds if contents.signed else 0
    if json_:
        document = {"path": str(path), "bytes": len(data), "public_key": key.public_key, "made_ms": made_ms}
        document |= {"network_id": None if genesis is None else network_id, "signed_rounds": rounds}
        print_json(document | ({"passphrase": passphrase} if words else {}))
        return
    note(f"Wrote {path}: the key {key.fingerprint} and all that belongs to it, encrypted.")
    note("Without the passphrase nobody opens it, you neither. Keep it elsewhere than the file.")
    if words:
        note("The passphrase, shown this once:")
        say(passphrase)


def _print_words(directory: DataDir, json_: bool) -> None:
    from node.backup.words import seed_to_words
    from node.keys import load_key

    key = load_key(directory.key)
    words = seed_to_words(key.seed)
    if json_:
        print_json({"public_key": key.public_key, "words": words.split()})
        return
    note(
        f"The key {key.fingerprint} itself, not encrypted: who reads these words has it. "
        "Write them on paper, not into a file."
    )
    for row in range(0, 24, 6):
        line = "  ".join(f"{row + n + 1:2d} {word:<8}" for n, word in enumerate(words.split()[row : row + 6]))
        say(line.rstrip())
    note(
        "A validator's pool and hash chain are not in them, nor what the key has signed: "
        "`keys backup --to` keeps those."
    )


def _restore(settings: Settings, path: Path, passphrase_file: Path | None, json_: bool) -> None:
    from config.datadir import DataDir
    from node.backup.restoring import open_contents, restore
    from node.backup.sealed import load_sealed

    backup = load_sealed(path)
    if not json_:
        note(_of(backup.header))
    contents = open_contents(backup, _passphrase(passphrase_file, twice=False).encode())
    name = settings.network if settings.origin("network") != "default" else contents.network
    directory = DataDir.open(settings.home, name)
    with directory.lock():
        done = restore(directory, backup.header, contents, now_ms())
    if json_:
        print_json(
            {
                "public_key": done.key.public_key,
                "peer_id": done.key.peer_id,
                "directory": str(directory.root),
                "network_id": None if done.genesis is None else done.genesis.network_id,
                "no_vote_up_to_round": done.closed_round,
                "config_kept": done.config_kept,
            }
        )
        return
    note(f"Restored into {directory.root}.")
    if done.config_kept:
        note(f"{directory.config} was there and stays; the backup's settings are left out.")
    elif contents.config:
        note(f"Look through {directory.config}: addresses and paths in it are those of the other machine.")
    if done.genesis is not None:
        note(
            f"It votes in no round up to {done.closed_round}, and watches two more for another node with "
            "this key. The node on the other machine must be stopped for good."
        )
        role = role_prepared(directory)
        note(f"Then start it: `deltamesh run {role} {place_of(directory)}`")
    _print_key(done.key.public_key, done.key.peer_id, str(directory.key))


def _restore_words(settings: Settings, json_: bool) -> None:
    from config.datadir import DataDir
    from node.backup.restoring import restore_seed
    from node.backup.words import seed_from_words

    seed = seed_from_words(typer.prompt("The 24 words", err=True, hide_input=True))
    directory = DataDir.open(settings.home, settings.network)
    with directory.lock():
        key = restore_seed(directory, seed)
    if json_:
        print_json({"public_key": key.public_key, "peer_id": key.peer_id, "directory": str(directory.root)})
        return
    note(
        f"Restored the key into {directory.root}, and nothing else: "
        f"join with `deltamesh init --genesis FILE {place_of(directory)}`."
    )
    _print_key(key.public_key, key.peer_id, str(directory.key))


def _of(header: Header) -> str:
    network = f"network {header.network_id.hex()[:16]}" if any(header.network_id) else "no network yet"
    return f"A backup of the key {short_key(header.public_key)}, {network}, made {moment(header.made_ms)}."


def _passphrase(file: Path | None, *, twice: bool) -> str:
    """The passphrase from a file or a terminal. Raises CommandError, PrivateFileError."""
    if file is None:
        typed = _typed(twice)
    else:
        from node.backup.sealed import PASSPHRASE_BYTES_MAX
        from node.private_file import read_private

        data = read_private(
            file.expanduser(),
            "the passphrase",
            size_bytes_max=4 * PASSPHRASE_BYTES_MAX,
            when_missing="write it there, with mode 0600",
        )
        try:
            typed = next(iter(data.decode().splitlines()), "")
        except UnicodeDecodeError:
            raise CommandError(
                f"{file} is not UTF-8 text: write the passphrase on its first line", ExitCode.BAD_INPUT
            ) from None
    # As it is typed: keyboards compose accents in different ways, and a line may end in a space.
    typed = unicodedata.normalize("NFC", typed.strip())
    if twice and len(typed) < PASSPHRASE_CHARACTERS_MIN:
        raise CommandError(
            f"a passphrase of {len(typed)} characters is soon guessed, take "
            f"{PASSPHRASE_CHARACTERS_MIN} or more: --words makes one up",
            ExitCode.BAD_INPUT,
        )
    return typed


def _typed(twice: bool) -> str:
    ask = partial(
        typer.prompt,
        "Passphrase",
        hide_input=True,
        confirmation_prompt="Once more" if twice else False,
        err=True,
    )
    if sys.stdin.isatty():
        return str(ask())
    with warnings.catch_warnings():
        # That it may be echoed: from a pipe nothing is.
        warnings.simplefilter("ignore", GetPassWarning)
        try:
            return str(ask())
        except typer.Abort:
            raise CommandError(
                "no passphrase came, and there is no terminal to ask at: give --passphrase-file FILE",
                ExitCode.USAGE,
            ) from None


def _check_alone(file: Path | None, words: bool, passphrase_file: Path | None) -> None:
    if file is not None or words or passphrase_file is not None:
        raise CommandError("--paper goes with no file and no passphrase: leave them out", ExitCode.USAGE)


def _print_key(public_key: bytes, peer_id: str, path: str) -> None:
    print_facts({"public key": public_key.hex(), "peer id": peer_id, "file": path})
