"""How the stores of a lake are reached: its address, and what the caller gave along with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lakepart.errors import ErrorCode, InvalidInputError
from lakepart.model.plans import list_some
from lakepart.model.records import TierRecord
from lakepart.storage.addresses import is_local, join_url, without_secrets
from lakepart.storage.base import Store
from lakepart.storage.credentials import OWN_FOLDER, CredentialsSource, TierCredentials, find_provider
from lakepart.storage.drivers import shortcomings, takes_writes
from lakepart.storage.locations import open_store

StorageOptions = Mapping[str, Any] | None


class StoreWarning(UserWarning):
    """A store promises less than a lake wants; the message says what that means."""


@dataclass(frozen=True, slots=True)
class Access:
    """The address of a lake, the options of its stores, and where their credentials come from; never stored."""

    url: str = field(repr=False)
    storage_options: StorageOptions = field(default=None, repr=False)
    credentials: CredentialsSource = field(default=None, repr=False)

    def open_root(self) -> Store:
        """Open the store of the lake's own folder."""
        return self._open(self.url, OWN_FOLDER, None, beside=())

    def open_tiers(self, tiers: Iterable[TierRecord], root: Store) -> dict[str, Store]:
        """Open a store per tier, by name; InvalidInputError for options that none of the lake's stores takes.

        Those that are reached as the lake's own folder is, share the connection of ``root``.
        """
        chosen = list(tiers)
        addresses = {tier.name: join_url(self.url, tier.root) for tier in chosen}
        if self.storage_options and all(is_local(one) for one in (self.url, *addresses.values())):
            raise InvalidInputError(
                f"Storage options {sorted(self.storage_options)} are given for {without_secrets(self.url)!r}, all of "
                "whose stores are local folders, which take none.",
                hint="leave storage_options out.",
            )
        stores: dict[str, Store] = {}
        for tier in chosen:
            beside = (*stores.values(), root)
            stores[tier.name] = self._open(addresses[tier.name], tier.name, tier.storage_class, beside=beside)
        return stores

    def require_abilities(self, tiers: Iterable[TierRecord]) -> None:
        """Say before anything is done what the stores of a lake that is to be written to cannot do.

        Raises
        ------
        InvalidInputError
            One of them takes no writes.

        Warns
        -----
        StoreWarning
            One of them promises less than a lake wants.
        """
        places = {"the lake's own folder": self.url}
        places |= {f"tier {tier.name!r}": join_url(self.url, tier.root) for tier in tiers}
        for name, address in places.items():
            if not takes_writes(address):
                raise InvalidInputError(
                    f"Nothing can be written to {without_secrets(address)!r}, the place of {name}.",
                    hint="connect with read_only=True, or choose a store that takes writes.",
                    code=ErrorCode.UNSUPPORTED,
                )
        for missing in sorted({one for address in places.values() for one in shortcomings(address)}):
            named = [name for name, address in places.items() if missing in shortcomings(address)]
            warnings.warn(
                f"The store of {list_some(named)} promises less than S3 or a disk: {missing}.",
                StoreWarning,
                stacklevel=4,
            )

    def _open(self, address: str, name: str, storage_class: str | None, *, beside: Iterable[Store]) -> Store:
        provider = find_provider(self.credentials)
        if is_local(address):
            return open_store(address)
        return open_store(
            address,
            self.storage_options,
            storage_class=storage_class,
            credentials=None if provider is None else TierCredentials(provider, name),
            beside=beside,
        )
