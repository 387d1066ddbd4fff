"""The command line: the library's own words, each command one call of it."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line and end the process with its exit code."""
    from lakepart.cli.terminating import end_in_order, was_asked_to_end

    end_in_order()
    try:
        from lakepart.cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # before the command began
        code = 143 if was_asked_to_end() else 130
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough; Python would complain when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    if code in {130, 143}:
        # an order may still be computed: Python would wind up in the midst of Arrow's code, and abort
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
