"""Configuration: read once at start into one frozen tree, checked before the core is touched."""

from gm.config.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
