"""What is generated in docs/: a module a source. ``build/make_docs.py`` runs them all."""
