"""Bundles that come with the package, by the name that ``policy.bundle`` calls them."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from gm.models.baseline_bundle import BASELINE_PATH

MAPPO_BTC_PATH = Path(__file__).with_name("mappo_btc")
SHIPPED: Mapping[str, Path] = MappingProxyType(
    {"baseline": BASELINE_PATH, "mappo-btc": MAPPO_BTC_PATH}
)
