"""From tables to pictures and pages: self-contained HTML reports.

Takes plain tables and arrays and imports no other room of the project.
"""
