"""`python -m gradline` is the command `gradline`."""

from gradline.cli.main import main

if __name__ == "__main__":
    main()
