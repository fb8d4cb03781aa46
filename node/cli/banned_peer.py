"""Whom a ban names: a key, the beginning of a known one, an IP address, or a multiaddress of either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from node.cli.errors import CommandError, ExitCode

if TYPE_CHECKING:
    from config.datadir import DataDir

PREFIX_DIGITS_MIN = 4
"""Shorter beginnings of keys are more likely a slip than a name."""
_MATCHES_SHOWN = 3


def named_peer(text: str, directory: DataDir) -> str:
    """The 64 digits of a key, or an IP address in its one plain form. Raises CommandError."""
    from config.addresses import plain_ip

    try:
        return plain_ip(text)
    except ValueError:
        pass
    if text.startswith("/"):
        return _of_multiaddress(text)
    if text.startswith("12D3KooW"):
        return _of_peer_id(text)
    return _of_digits(text.lower().removeprefix("0x"), text, directory)


def refuse_own_key(who: str, directory: DataDir) -> None:
    """Raises CommandError where the node would ban itself."""
    from node.keys import load_key

    if directory.key.exists() and load_key(directory.key).public_key.hex() == who:
        raise CommandError(
            "that is this node's own key: name another one, `deltamesh peers` lists them", ExitCode.BAD_INPUT
        )


def _of_multiaddress(text: str) -> str:
    from config.addresses import plain_ip

    parts = text.split("/")
    if "p2p" in parts[:-1]:
        return _of_peer_id(parts[parts.index("p2p") + 1])
    if len(parts) >= 3 and parts[1] in ("ip4", "ip6"):
        try:
            return plain_ip(parts[2])
        except ValueError:
            pass
    raise _unknown(text, "it names neither an IP address nor a peer id; a host name cannot be banned")


def _of_peer_id(text: str) -> str:
    from node.network.identity import key_of_peer_id

    key = key_of_peer_id(text)
    if key is None:
        raise _unknown(text, "its peer id is no Ed25519 key")
    return key.hex()


def _of_digits(digits: str, text: str, directory: DataDir) -> str:
    if not set(digits) <= set("0123456789abcdef") or not PREFIX_DIGITS_MIN <= len(digits) <= 64:
        raise _unknown(text, f"a key has 64 hexadecimal digits, its beginning at least {PREFIX_DIGITS_MIN}")
    if len(digits) == 64:
        return digits
    found = sorted(key for key in _known_keys(directory) if key.startswith(digits))
    if len(found) == 1:
        return found[0]
    if not found:
        raise _unknown(text, "no connected peer and no member of genesis has a key that begins so")
    shown = ", ".join(key[:16] for key in found[:_MATCHES_SHOWN])
    raise _unknown(text, f"{len(found)} keys begin so ({shown})")


def _known_keys(directory: DataDir) -> set[str]:
    from config.genesis import load_genesis
    from node.bans import read_bans
    from node.status import STATUS_FILE_NAME, read_status

    found = {ban.who for ban in read_bans(directory) if ban.key is not None}
    status = read_status(directory.root / STATUS_FILE_NAME)
    if status is not None:
        found |= {peer.public_key for peer in status.peers}
    if directory.genesis.exists():
        genesis = load_genesis(directory.genesis)
        found |= {key.hex() for key in (*genesis.validators, *genesis.encoders)}
    return found


def _unknown(text: str, why: str) -> CommandError:
    return CommandError(
        f"'{text[:120]}' names no peer: {why}; give all 64 digits of a key, an IP address, or a multiaddress",
        ExitCode.USAGE,
    )
