from __future__ import annotations

from hypothesis import settings

# A deadline measures how busy the machine is, not whether the property holds.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
