"""How much a move between tiers may do side by side, and each second."""

from __future__ import annotations

from dataclasses import dataclass

from lakepart.errors import InvalidInputError
from lakepart.model.sizes import parse_size

_WORKERS = 8  # they wait for disks and servers far more than they compute


@dataclass(frozen=True, slots=True)
class MoveLimits:
    """Files copied side by side; bytes through this machine and requests to S3 a second, without a limit where None."""

    workers: int = _WORKERS
    bytes_per_s: int | None = None
    requests_per_s: float | None = None

    @classmethod
    def given(
        cls,
        workers: int | None = None,
        max_bandwidth: int | str | None = None,
        max_requests: float | None = None,
    ) -> MoveLimits:
        """Understand what a person gives; InvalidInputError for what is no limit."""
        if workers is not None and (not isinstance(workers, int) or workers < 1):
            raise InvalidInputError(f"workers={workers!r} is no whole number of files side by side, at least one.")
        if max_requests is not None and not max_requests > 0:
            raise InvalidInputError(
                f"max_requests={max_requests!r} lets no request through: it counts requests a second.",
                hint="for example 100; None for no limit.",
            )
        return cls(
            _WORKERS if workers is None else workers,
            None if max_bandwidth is None else parse_size(max_bandwidth, "max_bandwidth"),
            max_requests,
        )
