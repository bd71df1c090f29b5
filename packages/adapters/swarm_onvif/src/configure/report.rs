//! What a camera made of what it was told.

use std::fmt;

use super::plan::{Change, Plan, Setting, Step};
use crate::model::{CameraClock, Codec, Ntp, Profile};

/// What came of [`crate::Camera::configure`], or of [`crate::Camera::configure_again`].
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The profile, with its encoder as the camera has it now.
    pub profile: Profile,
    /// As they are now; read only where time was asked for.
    pub clock: Option<CameraClock>,
    pub ntp: Option<Ntp>,
    pub plan: Plan,
    /// One for every setting that was sent to change it, and for every other one that changed with it.
    pub outcomes: Vec<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub setting: Setting,
    pub before: String,
    pub asked: String,
    /// Read back from the camera.
    pub now: String,
    pub verdict: Verdict,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The camera has what was asked.
    Accepted,
    /// It said yes, and has something else than before and than asked.
    Altered,
    /// It said yes, and nothing changed.
    Ignored,
    /// It said no, with these words.
    Refused(String),
    /// It was not asked to, and changed.
    ChangedUnasked,
}

impl Report {
    /// Whether the camera has all that it was told, and offered all that was wanted.
    pub fn is_as_wanted(&self) -> bool {
        self.plan.shortfalls.is_empty()
            && self.outcomes.iter().all(|outcome| outcome.verdict == Verdict::Accepted)
    }

    /// Whether it is about this profile.
    pub(super) fn is_about(&self, profile: &Profile) -> bool {
        self.profile.media == profile.media && self.profile.token == profile.token
    }

    /// What came of a step, if it was told all of it and its settings are as it left them; none if there is anything in it that
    /// is new to the camera.
    pub(super) fn outcomes_of(&self, step: &Step) -> Option<Vec<Outcome>> {
        let outcome_of = |change: &Change| {
            let is_it = |outcome: &&Outcome| {
                outcome.setting == change.setting
                    && outcome.verdict != Verdict::ChangedUnasked
                    && (&outcome.asked, &outcome.now) == (&change.to, &change.from)
            };
            self.outcomes.iter().find(is_it).cloned()
        };
        step.changes.iter().map(outcome_of).collect()
    }

    /// Whether a key frame comes every second at least; none where the camera does not tell.
    pub fn has_key_frame_each_second(&self) -> Option<bool> {
        let encoder = self.profile.encoder.as_ref()?;
        if encoder.codec == Codec::Jpeg {
            return Some(true); // each frame is one
        }
        let rate = encoder.rate.as_ref()?;
        Some(encoder.gop? as f32 <= rate.frame_rate / rate.encoding_interval.max(1) as f32)
    }
}

/// `before` and `now` are all settings of the camera around the one step.
pub(super) fn outcomes(
    step: &Step,
    refused: Option<&str>,
    before: &[(Setting, String)],
    now: &[(Setting, String)],
) -> Vec<Outcome> {
    let find = |all: &[(Setting, String)], setting| {
        all.iter()
            .find(|(candidate, _)| *candidate == setting)
            .map_or_else(|| "nothing".to_owned(), |(_, text)| text.clone())
    };
    let mut outcomes: Vec<Outcome> = Vec::new();
    for change in &step.changes {
        let now = find(now, change.setting);
        let verdict = match refused {
            Some(words) => Verdict::Refused(words.to_owned()),
            None if now == change.to => Verdict::Accepted,
            None if now == change.from => Verdict::Ignored,
            None => Verdict::Altered,
        };
        let (setting, before, asked) = (change.setting, change.from.clone(), change.to.clone());
        outcomes.push(Outcome { setting, before, asked, now, verdict });
    }
    for (setting, text) in now {
        let unasked = step.changes.iter().all(|change| change.setting != *setting);
        let before = find(before, *setting);
        if unasked && before != *text {
            let (asked, now) = (before.clone(), text.clone());
            outcomes.push(Outcome {
                setting: *setting,
                before,
                asked,
                now,
                verdict: Verdict::ChangedUnasked,
            });
        }
    }
    outcomes
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, before, asked, now, verdict } = self;
        match verdict {
            Verdict::Accepted => write!(f, "{setting}: {now} (was {before})"),
            Verdict::Altered => write!(f, "{setting}: {now} (was {before}), though {asked} was asked for"),
            Verdict::Ignored => {
                write!(f, "{setting}: still {now}; the camera accepted {asked} and ignored it")
            }
            Verdict::Refused(words) => {
                write!(f, "{setting}: still {now}; the camera refused {asked}: {words}")
            }
            Verdict::ChangedUnasked => {
                write!(f, "{setting}: {now} (was {before}), changed by the camera itself")
            }
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let profile = &self.profile;
        writeln!(f, "profile {} (token {}, {})", profile.name, profile.token, profile.media)?;
        if self.outcomes.is_empty() {
            writeln!(f, "  nothing to set")?;
        }
        self.outcomes.iter().try_for_each(|outcome| writeln!(f, "  {outcome}"))?;
        for shortfall in &self.plan.shortfalls {
            writeln!(
                f,
                "  not offered: {} {}; {} taken",
                shortfall.setting, shortfall.wanted, shortfall.taken
            )?;
        }
        Ok(())
    }
}
