"""Self-contained HTML reports: figures and pages from plain tables and arrays.

Of the project's other rooms it imports only `fer.core`.
"""
