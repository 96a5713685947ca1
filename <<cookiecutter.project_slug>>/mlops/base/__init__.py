"""What every room stands on: errors, files, archives, pages."""
