"""The commands, a module a family; each has an `app` that `planner.cli` takes them from."""
