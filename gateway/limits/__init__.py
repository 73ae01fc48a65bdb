"""How much an agent and an address may ask for, and how long log-ins wait after failures, over all workers together.

Whoever asks is a hash under a key of this start, in memory of a fixed size that every worker shares and that goes with
the last of them. No name is kept, nothing is evicted by whoever invents names, and the only clock that is asked is the
monotonic one, which nobody can set.
"""
