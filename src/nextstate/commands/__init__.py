"""The verbs of the command line. Each file has a typed configuration and ``main(argv)``."""
