//! The safety decision: step(config, state, inputs, now) -> (state, verdict); no allocation, lock, log or clock.
