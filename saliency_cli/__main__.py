"""`python -m saliency_cli` is `saliency`."""

from saliency_cli.cli import main

if __name__ == "__main__":
    main()
