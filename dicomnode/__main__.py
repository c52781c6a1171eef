"""`python -m dicomnode` is the command line."""

from dicomnode.cli.main import main

if __name__ == "__main__":
    main()
