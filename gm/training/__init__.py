"""Training and the slow references that check the core. Needs nothing at import."""
