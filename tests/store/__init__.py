"""Promises of gm.store: journal in, tables out."""
