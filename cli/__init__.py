"""The command line: every command parses, calls the library, and shows what came of it."""
