"""Promises of gm.readers: files in, bars, ticks and reasons out."""
