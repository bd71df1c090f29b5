//! The search for one camera: which camera it is, and when it is looked for again.
//!
//! Vocabulary
//! - *look*: one attempt to find a camera and its stream. With ONVIF it logs in.
//! - *serial*: what a camera calls itself; empty where it does not say, or was not asked.
//!
//! Flow
//! 1. A look found the camera: [`Search::found`] says which one it is, and [`Who::plays_anew`] whether its stream is opened.
//! 2. It did not: [`Search::missed`] says how long to wait for the next one.
//! 3. A stream that stays away is looked for beside it: [`is_due`].

use std::time::Duration;

/// Between two looks for a camera that may answer at any time.
const RETRY: Duration = Duration::from_secs(2);
/// After a password was refused: twice as long each time, up to the second.
const REFUSED: Duration = Duration::from_secs(10);
const REFUSED_LONGEST: Duration = Duration::from_mins(10);
/// A stream that does not come back for this long is looked for anew.
const LOOK_ANEW: Duration = Duration::from_secs(10);

/// What has to happen before another look makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The camera answers, or gets ready, or somebody sets it up.
    Camera,
    /// Somebody gives another password. Until then a look more is worse than one less: cameras lock an account after five or
    /// so wrong passwords, for half an hour.
    Password,
}

/// Which camera a look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The first look that found one.
    First,
    /// The one before, as far as it says.
    Same,
    /// The one before, which says only now who it is.
    Learned,
    /// Another one has taken its place.
    Other,
}

impl Who {
    /// Whether the stream that was found is opened in place of the one that there is: `playing` says whether that one plays,
    /// `elsewhere` whether they differ.
    pub fn plays_anew(self, playing: bool, elsewhere: bool) -> bool {
        match self {
            Self::Other => true,
            Self::First | Self::Same | Self::Learned => !playing && elsewhere,
        }
    }
}

/// The search for one camera. See the module.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// None before the first camera was found.
    serial: Option<String>,
    /// Looks with a password that was refused, since one was taken.
    refused: u32,
}

impl Search {
    /// A look found a camera that says this `serial`.
    pub fn found(&mut self, serial: &str) -> Who {
        self.refused = 0;
        let who = match self.serial.as_deref() {
            None => Who::First,
            // One that this time did not say who it is counts as the one that was here.
            Some(before) if before == serial || serial.is_empty() => return Who::Same,
            Some("") => Who::Learned,
            Some(_) => Who::Other,
        };
        self.serial = Some(serial.to_owned());
        who
    }

    /// A look found none: how long to wait for the next.
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

    /// Of the camera that was found last; empty where that is not known.
    pub fn serial(&self) -> &str {
        self.serial.as_deref().unwrap_or_default()
    }
}

/// Whether a stream is looked for anew that does not play, and of which nothing was heard for `silent`.
pub fn is_due(silent: Duration) -> bool {
    silent > LOOK_ANEW
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
        search.found("S1");
        assert_eq!(search.missed(Remedy::Password).as_secs(), 10);
    }

    #[test]
    fn a_camera_is_another_one_only_where_both_said_who_they_are() {
        let mut search = Search::default();
        let found = ["", "", "S1", "", "S1", "S2", "S2"].map(|serial| search.found(serial));
        assert_eq!(found, [Who::First, Who::Same, Who::Learned, Who::Same, Who::Same, Who::Other, Who::Same]);
        assert_eq!(search.serial(), "S2");
        assert_eq!(search.found(""), Who::Same);
        assert_eq!(search.serial(), "S2", "what is known is not forgotten");
    }

    #[test]
    fn a_stream_that_plays_is_left_for_another_camera_alone() {
        for who in [Who::First, Who::Same, Who::Learned] {
            assert!(!who.plays_anew(true, true) && !who.plays_anew(false, false), "{who:?}");
            assert!(who.plays_anew(false, true), "{who:?}");
        }
        assert!(Who::Other.plays_anew(true, false));
    }
}
