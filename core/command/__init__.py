"""What a command line asks for, as options."""
