//! Test doubles and the lock-step cell: runtime, gate and physics in one process on a virtual clock.
