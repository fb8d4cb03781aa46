"""Who the node is in its network: genesis, key, what it committed to, and what it embeds with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from config.errors import ConfigError
from config.genesis import load_genesis
from node.clock import now_ms
from node.doctor.finding import Finding, error, note, ok, warning
from node.doctor.subject import Role, Subject
from node.encoders.catalogue import check_encoder
from node.encoders.encoder import EncoderError
from node.keys import NodeKey, load_key
from node.membership import membership_faults
from protocol.genesis import Genesis
from protocol.schedule import round_at

_NAME: Final = "membership"
_FILE_TARGET: Final = re.compile(r"(?P<file>.+\.py):[A-Za-z_]\w*")


def check(subject: Subject) -> list[Finding]:
    """Genesis, key, and whether they fit."""
    directory = subject.directory
    if not directory.genesis.exists():
        return [ok(_NAME, "no genesis here, so no membership to look at")]
    try:
        genesis = load_genesis(directory.genesis)
    except ConfigError as fault:
        remedy = "fetch the file again from another member: `deltamesh init --genesis FILE`"
        return [error(_NAME, str(fault), "without its network a node does not start", remedy)]
    try:
        key = load_key(directory.key)
    except ConfigError as fault:
        return [error(_NAME, str(fault), "a node does not start without its key", "as it says")]
    try:
        faults = membership_faults(directory, key, genesis)
    except ConfigError as fault:
        faults = [str(fault)]
    return judge(genesis, key, faults, subject, now_ms())


def judge(genesis: Genesis, key: NodeKey, faults: list[str], subject: Subject, at_ms: int) -> list[Finding]:
    """What genesis says of the key; `faults`: why this directory is not what it committed to."""
    found = [
        error(
            _NAME,
            fault,
            "what it deals would be refused, so the validator does not start",
            "put the file back from a backup; the network knows the old one",
        )
        for fault in faults
    ]
    found += _standing(genesis, key, subject)
    round_ = round_at(genesis, at_ms)
    if round_ < 0:
        left_s = (genesis.content.genesis_time_ms - at_ms) / 1_000
        found.append(note(_NAME, f"the network begins in {left_s:,.0f} s", "until then nothing is dealt"))
    elif round_ >= genesis.parameters.chain_length:
        found.append(
            error(
                _NAME,
                f"round {round_} is past the {genesis.parameters.chain_length} of this network's hash chains",
                "no challenge can be dealt any more",
                "begin a new network, with a longer chain: `deltamesh genesis create`",
            )
        )
    if genesis.content.name != subject.settings.network:
        found.append(
            note(
                _NAME,
                f"genesis names the network '{genesis.content.name}', the directory "
                f"'{subject.settings.network}'",
                "names do not matter to the protocol, the network id does",
            )
        )
    return found


def _standing(genesis: Genesis, key: NodeKey, subject: Subject) -> list[Finding]:
    named = f"key {key.fingerprint}, network {genesis.network_id.hex()[:16]}"
    if key.public_key in genesis.validators:
        stake = genesis.validators[key.public_key].stake
        return [ok(_NAME, f"{named}: a validator of genesis with {stake} of {genesis.total_stake} stake")]
    if key.public_key in genesis.encoders:
        if subject.role is Role.VALIDATOR:
            return [
                error(
                    _NAME,
                    f"{named}: an encoder of genesis, in a directory prepared as a validator's",
                    "one key has one role",
                    "`deltamesh init --role validator --home ANOTHER`",
                )
            ]
        return [ok(_NAME, f"{named}: an encoder of genesis")]
    if subject.role is Role.VALIDATOR:
        return [
            note(
                _NAME,
                f"{named}: prepared as a validator, not in genesis",
                "it has a part in rounds once a validator hands it stake",
                "hand card.json to a validator, who hands it stake by `deltamesh stake transfer`",
            )
        ]
    return [
        note(
            _NAME,
            f"{named}: not in genesis",
            "an encoder registers by itself when it runs, with a proof of work, and counts an epoch later",
        )
    ]


def check_model(subject: Subject) -> list[Finding]:
    """Whether what an encoder embeds with is there; it is not loaded."""
    name, model = "model", subject.settings.model
    if subject.role is Role.VALIDATOR:
        return [ok(name, "a validator has none")]
    genesis = subject.genesis()
    modality = None if genesis is None else genesis.parameters.modality
    try:
        check_encoder(model, modality)
    except EncoderError as fault:
        return [error(name, str(fault), "an encoder with it does not start", "`deltamesh models list`")]
    file = _FILE_TARGET.fullmatch(model)
    if file is not None and not Path(file["file"]).expanduser().exists():
        return [
            warning(
                name,
                f"there is no {file['file']} in {Path.cwd()}",
                "an encoder started here would not find its model",
                "write the whole path in --model, then `deltamesh models check` it",
            )
        ]
    return [ok(name, f"{model} can be found ({subject.settings.origin('model')})")]
