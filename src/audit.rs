//! The record: one line per decision, without values.
