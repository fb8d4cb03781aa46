"""Epochs: who the members are, agreed on by the validators from what they have certified."""
