//! A value that is exchanged while requests use it: what was read from a file that the operator changes.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Shared by all clones. Whoever took the value before an exchange goes on with the old one.
pub struct Current<T>(Arc<RwLock<Arc<T>>>);

impl<T> Current<T> {
    pub fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    pub fn get(&self) -> Arc<T> {
        // Nobody panics while it is held: it is cloned or replaced.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub fn set(&self, value: T) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(value);
    }
}

impl<T> Clone for Current<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: fmt::Debug> fmt::Debug for Current<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
