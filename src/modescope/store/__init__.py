"""The run directory: snapshots, predictions, histories, provenance. The only room that knows its paths and formats."""
