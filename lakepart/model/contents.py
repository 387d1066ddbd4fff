"""The identity of a partition's rows, whatever files and tiers hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

EMPTY_CONTENT = "empty"


def content_id_of(data_digests: Iterable[str]) -> str:
    """Identify the content that files with these data digests hold together, in their order."""
    joined = "\n".join(data_digests)
    return hashlib.sha256(joined.encode()).hexdigest() if joined else EMPTY_CONTENT
