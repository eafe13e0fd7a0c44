"""Planes through solutions and paths between them: coordinates in weight space, and training along a path."""
