"""Attacks, each named for what it tried: a program, a model's answer, a snapshot or a neighbour as the enemy."""
