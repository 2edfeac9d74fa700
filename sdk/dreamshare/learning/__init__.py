"""Learners as capabilities, objectives as data."""
