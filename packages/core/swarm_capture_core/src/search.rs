//! The search for one camera: when it is looked for again.
//!
//! A *look* is one attempt to find a camera and its stream. With ONVIF it logs in.

use std::time::Duration;

/// Between two looks for a camera that may answer at any time.
const RETRY: Duration = Duration::from_secs(2);
/// After a password was refused: twice as long each time, up to the second.
const REFUSED: Duration = Duration::from_secs(10);
const REFUSED_LONGEST: Duration = Duration::from_mins(10);

/// What has to happen before another look makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The camera answers, or gets ready, or somebody sets it up.
    Camera,
    /// Somebody gives another password. Until then a look more is worse than one less: cameras lock an account after five or
    /// so wrong passwords, for half an hour.
    Password,
}

/// The search for one camera. See the module.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Looks with a password that was refused, since one was taken.
    refused: u32,
}

impl Search {
    /// A look found the camera.
    pub fn found(&mut self) {
        self.refused = 0;
    }

    /// A look did not: how long to wait for the next.
    pub fn missed(&mut self, remedy: Remedy) -> Duration {
        match remedy {
            Remedy::Camera => RETRY,
            Remedy::Password => {
                let doublings = self.refused.min(16);
                self.refused += 1;
                (REFUSED * (1 << doublings)).min(REFUSED_LONGEST)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_password_is_tried_seldom_until_one_is_taken() {
        let mut search = Search::default();
        let mut waits =
            |remedy, times| (0..times).map(|_| search.missed(remedy).as_secs()).collect::<Vec<_>>();
        assert_eq!(waits(Remedy::Password, 8), [10, 20, 40, 80, 160, 320, 600, 600]);
        // A camera that locks its account does not answer now and then. Its account stays locked.
        assert_eq!(waits(Remedy::Camera, 2), [2, 2]);
        assert_eq!(waits(Remedy::Password, 1), [600]);
        search.found();
        assert_eq!(search.missed(Remedy::Password).as_secs(), 10);
    }
}
