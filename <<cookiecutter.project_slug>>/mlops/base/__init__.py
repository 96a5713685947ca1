"""Modules that all other packages use: errors, files, archives, HTML pages."""
