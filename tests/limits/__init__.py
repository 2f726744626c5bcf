"""Signed limits."""
