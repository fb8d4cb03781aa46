"""An encoder's model in a process of its own: whatever it does, the node goes on."""
