"""Labels over the statistics: the tables of a run directory, and its record."""
