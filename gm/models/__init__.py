"""Policies: ONNX networks, and bundles of them with the manifest that says how they are used."""

from gm.models.baseline_bundle import BASELINE_PATH, build_baseline
from gm.models.bundle import (
    Agent,
    Bundle,
    Golden,
    Manifest,
    agent_rows,
    load_bundle,
    tactical_rows,
    write_bundle,
)
from gm.models.golden import golden_check, golden_inputs
from gm.models.network import Network
from gm.models.shipped import MAPPO_BTC_PATH, SHIPPED

__all__ = [
    "BASELINE_PATH",
    "MAPPO_BTC_PATH",
    "SHIPPED",
    "Agent",
    "Bundle",
    "Golden",
    "Manifest",
    "Network",
    "agent_rows",
    "build_baseline",
    "golden_check",
    "golden_inputs",
    "load_bundle",
    "tactical_rows",
    "write_bundle",
]
