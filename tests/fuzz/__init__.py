"""Fuzzing: what bytes from outside must never do to a decoder.

Targets of the core are programs (core/fuzz), those of Python are the ``*_target`` modules here.
``python -m tests.fuzz`` runs them all: see ``make fuzz`` and ``make fuzz-campaign``.
"""
