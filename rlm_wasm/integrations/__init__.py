"""At home in other frameworks: a module each, and an extra of its name that brings the framework along."""
