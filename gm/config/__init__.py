"""Configuration: read once at start into one frozen tree, checked before the core is touched."""

from gm.config.settings import Settings, config_hash, load_settings

__all__ = ["Settings", "config_hash", "load_settings"]
