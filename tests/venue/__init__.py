"""Promises of gm.venue and of the server behind it."""
