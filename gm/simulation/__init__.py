"""`gm simulate`: the engine in simulated worlds where everything goes wrong that can."""

from gm.simulation.play import Campaign as Campaign, World as World, play as play
from gm.simulation.rules import POLICIES as POLICIES, with_rule as with_rule
