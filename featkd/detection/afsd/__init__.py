"""AFSD, an anchor-free detector of actions that refines segments at their boundaries."""
