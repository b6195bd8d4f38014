"""Ledgers of tournaments that others can verify: chained, signed, and played again from controls."""
