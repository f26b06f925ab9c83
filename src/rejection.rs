//! Why a request is refused.
