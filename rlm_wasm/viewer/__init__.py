"""The page of a run: as one file that works offline, or served on this machine while runs go on."""
