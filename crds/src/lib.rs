//! Seatrial's API types and the manifests generated from them.
