"""Models as files of other programs: exported, checked against their bundle, measured."""
