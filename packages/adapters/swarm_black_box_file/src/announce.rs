//! What limits say, by the numbers that entries name them by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use swarm_black_box::Limits;

/// The texts of limits, told to the recorder before the deciding thread puts them into force. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Announce(Arc<Mutex<BTreeMap<u64, Limits>>>);

impl Announce {
    /// These limits may come into force.
    pub fn limits(&self, limits: Limits) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(limits.generation, limits);
    }

    pub(crate) fn get(&self, generation: u64) -> Limits {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&generation).cloned();
        known.unwrap_or_else(|| {
            if generation == 0 {
                return Limits::default();
            }
            // No text of limits: a replay says that it stops here, and does not take others for them.
            let skill = "limits that the recorder was never told of".to_owned();
            Limits { generation, envelope: Some(String::new()), skill, artifact: String::new() }
        })
    }
}
