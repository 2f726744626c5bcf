"""The journal as tables: recorder, readers of segments, totals of a run."""
