"""The simulator with many members: how much each node has to do, and what that grows with.

Every validator lives and attests; of the encoders only those in a shard, and a few that are in none.
"""
