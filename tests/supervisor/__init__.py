"""Promises of gm.supervisor: one engine, begun and ended."""
