"""`python register.py …` in a checkout is `fer register …` where the package is installed: see fer/cli/register.py."""

from fer.cli.register import run

if __name__ == "__main__":
    run()
