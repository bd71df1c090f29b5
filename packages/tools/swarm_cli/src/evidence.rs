//! Figures of the artifact path; see `measure`.
