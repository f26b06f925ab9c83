//! Proofs: who vouches for what.
