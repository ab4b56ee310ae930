"""Running cells: worker processes with their limits, and sessions of them."""
