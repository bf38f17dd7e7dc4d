"""The stages of an experiment on detection, each resumable, each in its folder."""
