"""Tests of gm.explain."""
