from datetime import UTC, datetime

import pytest

from lakepart.catalog.database import Database
from lakepart.model.records import TierRecord
from lakepart.testing.catalog_contract import CatalogContract
from lakepart.testing.clocks import FrozenClock
from lakepart.testing.partition_key_contract import PartitionKeyContract


class TestPostgresqlCatalog(CatalogContract, PartitionKeyContract):
    @pytest.fixture
    def database(self, new_schema):
        tiers = [TierRecord("hot", "hot"), TierRecord("cold", "cold", rank=1)]
        clock = FrozenClock(datetime(2026, 1, 31, tzinfo=UTC))
        with Database.create(new_schema(), lake_id="lake", clock=clock, tiers=tiers) as database:
            yield database
