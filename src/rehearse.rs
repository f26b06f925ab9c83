//! Rehearsals: the gateway's own path without sockets.
