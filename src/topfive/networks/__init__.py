"""What a network is: its card, its labels and words, its weights and what was taught.
The way in is `find.find_network`; the networks stand in `published`."""

__all__ = [
    "bundles",
    "cards",
    "class_names",
    "efficientnet_lite",
    "find",
    "heads",
    "hierarchy",
    "labels",
    "lessons",
    "published",
    "records",
    "taught_cards",
    "taught_folders",
    "weights",
]
