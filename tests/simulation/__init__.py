"""Tests of the simulated worlds' Python side."""
