"""`gm venue`: the simulated exchange on a tape, in a process of its own."""

from gm.venue.serving import VenueOptions as VenueOptions, run_venue as run_venue
from gm.venue.synthetic import synthetic_session as synthetic_session
