//! Roles, phases, barriers, the deployment state machine and the policy trait.
