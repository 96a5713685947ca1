"""The steps that run as jobs, one module each: `python -m modelkit.jobs.train`."""
