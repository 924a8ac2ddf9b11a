"""The crash of a worker group: which ranks are at fault, and on which nodes they ran.

Tune keeps only the text of a crash, so that the driver reads the nodes from there.
"""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping

ACTOR_ERROR = re.compile(r"^The actor ", re.M)
"""The beginning of Ray's text about a lost process, before which Ray Train names its health check."""


class RankError(Exception):
    """An exception of a rank of a group. The text is the exception's class and message, and the rank's node."""

    @classmethod
    def of(cls, error: Exception, node: str) -> RankError:
        """The error of a rank on a node, given by its id. It has only text, so that every process can unpickle it."""
        named = "".join(traceback.format_exception_only(error)).strip()
        return cls(f"{named}\ncrashed on node {node}")


class GroupError(Exception):
    """The end of a group. The text is that of the ranks at fault, as `core.sweep.failure` reads it."""

    @classmethod
    def of(cls, failures: Mapping[int, Exception]) -> GroupError:
        """The crash of a group with these failures of its ranks.

        Other ranks often raise an exception when the process of one has died. Such a process alone is at fault.
        """
        died = [failure for failure in failures.values() if not isinstance(failure, RankError)]
        return cls("\n".join(_text(failure) for failure in died or failures.values()))


def _text(failure: Exception) -> str:
    text = str(failure)
    found = ACTOR_ERROR.search(text)
    return text[found.start() :] if found else text
