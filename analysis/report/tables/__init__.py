"""Tables of a sweep, for a terminal and as text."""
