"""Everything that touches the world: libp2p host, driver, store, signer, models, CLI, testnet."""
