"""Runs a command as `pairwright` would, in this process, and gives its exit code."""

import pytest

from flows import cli


def run(*arguments: object) -> int:
    """The exit code of one command; no Prefect server is asked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        patch.setattr("sys.argv", ["pairwright", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as exit:
            return int(exit.code or 0)
    return 0
