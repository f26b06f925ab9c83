//! Epochs: one whole set of policy files, in force at once or not at all.
