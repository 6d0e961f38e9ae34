//! Nothing: this package is its tests, `tests/it`, which run the programs as a user does.
