"""What `deltamesh doctor` looks at: a node, its machine and its network. Nothing is changed by it."""
