"""Ablations: train a grid of students, sample and score them alike, and tabulate the differences.

The trainer is another package, which this one never imports: every call of it is a child process.
"""
