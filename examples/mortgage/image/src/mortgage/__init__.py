"""Predicts which mortgage applications are denied, from the Boston HMDA data of 1990."""
