"""featkd: precomputed-feature distillation for video models."""
