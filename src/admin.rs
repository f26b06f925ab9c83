//! The admin listener: health, metrics, status.
