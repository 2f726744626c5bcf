"""The Cython modules: one concern each, conversion and a check, no arithmetic."""
