//! The edge: listeners, TLS, certificates, hygiene, origins, client addresses.
