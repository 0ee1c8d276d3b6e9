"""The command line: a module for each command, which parses options, calls the library, prints.

The way in is `main.main`; `main.COMMANDS` lists the commands, each imported when it is asked for.
"""

__all__ = ["main"]
