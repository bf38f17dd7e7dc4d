"""Descriptors of datasets, one YAML file each; `featkd.manifest.shipped_descriptor` reads them."""
