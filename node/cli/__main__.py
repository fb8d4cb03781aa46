"""`python -m node.cli`: the same as `deltamesh`, where the command is not on the path."""

from __future__ import annotations

from node.cli.app import main

if __name__ == "__main__":
    main()
