//! An error with all its causes on one line.

use std::error::Error;
use std::fmt;

/// Displays an error and its chain of causes, `a: b: c`, leaving out a cause whose text the error before it already ends with.
#[derive(Clone, Copy, Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
                said = text;
            }
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read the trust file")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("no such file")]
    struct Inner;

    #[derive(Debug, thiserror::Error)]
    #[error("deploy: no such file")]
    struct Repeats(#[source] Inner);

    #[test]
    fn causes_follow_the_error() {
        assert_eq!(ErrorChain(&Outer(Inner)).to_string(), "cannot read the trust file: no such file");
    }

    #[test]
    fn a_cause_is_not_printed_twice() {
        assert_eq!(ErrorChain(&Repeats(Inner)).to_string(), "deploy: no such file");
    }
}
