"""Shipped kit for testing: contract suites, a memory store, a crashing store, a frozen clock."""
