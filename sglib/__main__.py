"""`python -m sglib` is the same as the `sglib` command."""

from sglib.cli import main

if __name__ == "__main__":
    main()
