"""A folder of runs as a static site: the runs over time, their reports, their comparisons."""
