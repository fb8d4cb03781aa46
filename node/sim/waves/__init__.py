"""The simulator with real embeddings and a third of its encoders forging: what waves and probes are worth.

The node's machines, audit, scoring rule and records of epochs, on good links; what is varied is what forgers
get to see, and whether the answers to probes enter the records.
"""
