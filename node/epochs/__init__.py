"""The epochs of a running node: kept on disk, agreed on, caught up with."""
