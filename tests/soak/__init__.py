"""The long run: a paced venue, an engine with retention, a fault a minute, and a judgement."""
