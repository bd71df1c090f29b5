//! One flag that asks every thread of a process to finish.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cloneable token; once requested it stays requested.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    requested: Arc<AtomicBool>,
}

impl Shutdown {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn request(&self) {
        self.requested.store(true, Ordering::SeqCst);
    }

    pub fn is_requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_reaches_every_clone() {
        let token = Shutdown::new();
        let clone = token.clone();
        assert!(!clone.is_requested());
        token.request();
        assert!(clone.is_requested());
    }
}
