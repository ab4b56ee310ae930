"""The worker half: what runs inside the framework's own environment.

Owns the protocol, the backend interface, the timed passes and the scoring arithmetic. Never imports the lab
half, and of third-party packages only numpy.
"""
