//! Parameters as ROS 2 means them: declared with type, description, range and rule, refused when wrong, described to whoever asks.
//!
//! 1. A node declares each parameter with a [`ParameterSpec`] and keeps the typed [`Parameter`] it gets back.
//! 2. The value is the override from the command line or a parameter file, or else the default.
//! 3. Mistakes in overrides are collected, so that [`Parameters::check`] can report all of them at once.
//! 4. While the node spins, the six parameter services and `/parameter_events` work on the same [`store`].

pub(crate) mod services;
mod spec;
pub mod store;
mod value;

use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use spec::ParameterSpec;
use store::Store;
pub use value::{ParameterType, Value};

/// The parameters of one node. Clones share them.
#[derive(Clone, Debug)]
pub struct Parameters {
    store: Arc<Mutex<Store>>,
}

/// One declared parameter; reads its present value.
#[derive(Clone, Debug)]
pub struct Parameter<T> {
    name: String,
    default: T,
    parameters: Parameters,
    of: PhantomData<T>,
}

/// Everything that is wrong with the parameters a node was started with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} parameter(s) cannot be used:\n  - {}", .0.len(), .0.join("\n  - "))]
pub struct ParameterMistakes(pub Vec<String>);

impl Parameters {
    pub(crate) fn new(overrides: impl IntoIterator<Item = (String, Value)>) -> Self {
        Self { store: Arc::new(Mutex::new(Store::new(overrides))) }
    }

    /// Declares a parameter. A wrong override is remembered for [`Self::check`] and the default used meanwhile.
    pub fn declare<T: ParameterType>(&self, spec: ParameterSpec<T>) -> Parameter<T> {
        let (name, default) = (spec.name().to_owned(), spec.default_value().clone());
        self.lock().declare(spec.erase());
        Parameter { name, default, parameters: self.clone(), of: PhantomData }
    }

    /// All mistakes of the overrides of what has been declared so far.
    pub fn check(&self) -> Result<(), ParameterMistakes> {
        let store = self.lock();
        let mistakes = store.mistakes();
        if mistakes.is_empty() { Ok(()) } else { Err(ParameterMistakes(mistakes.to_vec())) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: ParameterType> Parameter<T> {
    /// The present value.
    pub fn get(&self) -> T {
        let store = self.parameters.lock();
        // The store lets no other type in; the default is unreachable and there to avoid a panic in a running node.
        store.get(&self.name).and_then(T::from_value).unwrap_or_else(|| self.default.clone())
    }

    pub fn name(&self) -> &str {
        &self.name
    }
}
