"""What runs found, for people: tables, figures, verdicts in words, one HTML page.

Importing this package does not import plotly; :mod:`.figures` and :mod:`.html` do.
"""
