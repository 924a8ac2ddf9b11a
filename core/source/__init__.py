"""Identity of the running code: its commit, its version, and a hash of its files."""

from core.source.commit import git_commit
from core.source.tree import source_tree
from core.source.version import code_version, package_version

__all__ = ["code_version", "git_commit", "package_version", "source_tree"]
