"""Tests of the kill switch's Python side."""
