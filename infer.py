"""`python infer.py …` in a checkout is `fer infer …` where the package is installed: see fer/cli/infer.py."""

from fer.cli.infer import run

if __name__ == "__main__":
    run()
