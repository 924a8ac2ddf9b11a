"""Tables of a sweep, for a terminal and for text files."""
