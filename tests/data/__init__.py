"""Tests over the real files of GM_DATA."""
