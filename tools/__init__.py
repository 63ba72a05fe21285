"""Commands of the maintainers, which no installed package has."""
