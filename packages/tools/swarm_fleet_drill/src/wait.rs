//! Waiting for a condition, with an end.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Looks until there is something; the error says what was waited for.
pub(crate) fn until<T>(
    what: &str,
    at_most: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let begun = Instant::now();
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if begun.elapsed() > at_most {
            bail!("{what}: not within {} s", at_most.as_secs_f64());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The same for a yes or no.
pub(crate) fn until_true(what: &str, at_most: Duration, mut look: impl FnMut() -> bool) -> Result<()> {
    until(what, at_most, || Ok(look().then_some(())))
}
