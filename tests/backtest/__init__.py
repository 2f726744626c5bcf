"""Tests of gm.backtest."""
