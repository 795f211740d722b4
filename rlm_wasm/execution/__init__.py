"""One execution of a guest: slices, requests and their replies, limits, and how it ends."""
