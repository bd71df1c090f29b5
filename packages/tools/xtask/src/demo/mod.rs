//! The demo: a simulated cell runs a signed skill (being written by the lead; please leave this folder to him).
