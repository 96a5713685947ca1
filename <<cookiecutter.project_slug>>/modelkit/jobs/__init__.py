"""The steps that jobs run, each a module: `python -m modelkit.jobs.train`."""
