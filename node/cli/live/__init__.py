"""One node as it goes: gathered again and again from its data directory or its HTTP API, and drawn."""
