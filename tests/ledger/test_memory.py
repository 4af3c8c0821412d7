"""The memory ledger keeps the seam's promises."""

import pytest

from consilium.ledger.memory import MemoryLedger
from consilium.testing.ledger import LedgerConformance


class TestMemoryLedger(LedgerConformance):
    @pytest.fixture
    def ledger(self) -> MemoryLedger:
        return MemoryLedger()
