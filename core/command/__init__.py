"""The command line: flags, pages of help, exit codes, and the request that the flags express."""
