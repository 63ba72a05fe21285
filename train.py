"""`python train.py …` in a checkout is `fer train …` where the package is installed: see fer/cli/train.py."""

from fer.cli.train import run

if __name__ == "__main__":
    run()
