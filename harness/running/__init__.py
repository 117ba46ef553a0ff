"""What has to be scored, and scoring it: the plan, work units, the store, claims, the runner."""
