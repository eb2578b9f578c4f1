"""Races against peers and against what the hardware allows; never part of the tests. ``make bench`` runs them all."""
