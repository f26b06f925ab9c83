//! Upstreams: takes judged requests and nothing else.
