//! A camera set up: read, planned, carried out, read back.
//!
//! 1. [`crate::Camera::configure`] reads profiles, encoder, options and, where time is asked for, clock and NTP.
//! 2. [`plan`] works out what must be set, as data, from what was read and from what is [`Wanted`]. Nothing else decides.
//! 3. Each step is carried out, and what it concerns is read back: cameras accept and ignore, round, or change something else.
//! 4. The [`Report`] says for every setting what was wanted, and what the camera has now.
//!
//! A camera that did as it was told is sent no `Set` the second time, for then there is nothing to plan. One that did not is told
//! once: [`Camera::configure_again`] repeats only what it was never told, and what somebody has changed since. Cameras write
//! what they are told to flash memory, some begin their streams anew with it, and what they ignored they ignore again.

mod plan;
mod report;
mod wanted;

pub use plan::{Change, Found, Plan, Setting, Shortfall, Step, plan};
pub use report::{Outcome, Report, Verdict};
pub use wanted::{BFrames, Gop, ProfileChoice, TimeSource, Wanted};

use crate::camera::Camera;
use crate::error::{Failure, OnvifError};
use crate::model::{Encoder, Media, Profile};
use crate::operation::Operation;
use plan::{clock_settings, encoder_settings, ntp_settings};

impl Camera {
    /// Sets the camera up as `wanted`. What a camera refuses or ignores is in the report and no error; an error is a camera that
    /// cannot be talked to, or that has no such profile.
    pub async fn configure(&mut self, wanted: &Wanted) -> Result<Report, OnvifError> {
        self.carry_out(wanted, None).await
    }

    /// As [`Self::configure`], for a camera that has been set up `before`. What it made of that then is not tried again, and is in
    /// the report again.
    pub async fn configure_again(&mut self, wanted: &Wanted, before: &Report) -> Result<Report, OnvifError> {
        self.carry_out(wanted, Some(before)).await
    }

    async fn carry_out(&mut self, wanted: &Wanted, before: Option<&Report>) -> Result<Report, OnvifError> {
        let profiles = self.profiles().await?;
        let profile = choose(&profiles, &wanted.profile).map_err(|failure| OnvifError {
            operation: "GetProfiles",
            url: Box::new(self.url().clone()),
            failure,
        })?;
        let mut found = self.read(profile, wanted).await?;
        let plan = plan(wanted, &found);
        let told_before = before.filter(|before| before.is_about(&found.profile));
        let mut outcomes = Vec::new();
        for step in &plan.steps {
            if let Some(known) = told_before.and_then(|before| before.outcomes_of(step)) {
                outcomes.extend(known);
                continue;
            }
            let refused = match self.set(&step.operation).await {
                Ok(()) => None,
                Err(error) if error.failure.is_unsupported() => Some(error.failure.to_string()),
                Err(error) => return Err(error),
            };
            let settings = std::mem::take(&mut found.settings);
            self.read_back(&step.operation, &mut found).await?;
            found.settings = found.all_settings();
            outcomes.extend(report::outcomes(step, refused.as_deref(), &settings, &found.settings));
        }
        Ok(Report { profile: found.profile, clock: found.clock, ntp: found.ntp, plan, outcomes })
    }

    async fn read(&mut self, profile: Profile, wanted: &Wanted) -> Result<Found, OnvifError> {
        let mut found = Found { profile, options: Vec::new(), clock: None, ntp: None, settings: Vec::new() };
        if let Some(encoder) = found.profile.encoder.clone() {
            found.profile.encoder = Some(self.encoder_now(found.profile.media, &encoder.token).await?);
            // Without options anything may be tried; the read-back shows what came of it.
            found.options = match self.encoder_options(&found.profile, &encoder).await {
                Ok(options) => options,
                Err(error) if error.failure.is_unsupported() => Vec::new(),
                Err(error) => return Err(error),
            };
        }
        if wanted.time != TimeSource::Keep {
            found.clock = Some(self.clock().await?);
            found.ntp = self.ntp_or_none().await?;
        }
        found.settings = found.all_settings();
        Ok(found)
    }

    async fn read_back(&mut self, operation: &Operation, found: &mut Found) -> Result<(), OnvifError> {
        match operation {
            Operation::SetEncoder { media, encoder } => {
                found.profile.encoder = Some(self.encoder_now(*media, &encoder.token).await?);
            }
            Operation::SetNtp(_) => found.ntp = self.ntp_or_none().await?,
            Operation::SetSystemDateAndTime(_) => found.clock = Some(self.clock().await?),
            _ => {}
        }
        Ok(())
    }

    /// Profiles carry the encoder too, but some cameras leave half of it out there; others (onvif-server) tell it only there.
    async fn encoder_now(&mut self, media: Media, token: &str) -> Result<Encoder, OnvifError> {
        let refusal = match self.encoder(media, token).await {
            Err(error) if error.failure.is_unsupported() => error,
            told => return told,
        };
        let mut encoders = self.profiles_of(media).await?.into_iter().filter_map(|profile| profile.encoder);
        encoders.find(|encoder| encoder.token == token).ok_or(refusal)
    }

    /// Weak cameras have no `GetNTP`.
    async fn ntp_or_none(&mut self) -> Result<Option<crate::model::Ntp>, OnvifError> {
        match self.ntp().await {
            Ok(ntp) => Ok(Some(ntp)),
            Err(error) if error.failure.is_unsupported() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Found {
    /// Every setting that the camera has now, as text.
    fn all_settings(&self) -> Vec<(Setting, String)> {
        let encoder = self.profile.encoder.iter().flat_map(encoder_settings);
        let clock = self.clock.iter().flat_map(clock_settings);
        encoder.chain(self.ntp.iter().flat_map(ntp_settings)).chain(clock).collect()
    }
}

fn choose(profiles: &[Profile], choice: &ProfileChoice) -> Result<Profile, Failure> {
    let mut with_video = profiles.iter().filter(|profile| profile.encoder.is_some());
    let chosen = match choice {
        ProfileChoice::First => with_video.next(),
        ProfileChoice::Named(name) => {
            with_video.find(|profile| profile.token == *name || profile.name == *name)
        }
    };
    chosen.cloned().ok_or_else(|| {
        let wanted = match choice {
            ProfileChoice::First => "with video".to_owned(),
            ProfileChoice::Named(name) => format!("`{name}` with video"),
        };
        let known: Vec<String> =
            profiles.iter().take(20).map(|p| format!("{} (token {})", p.name, p.token)).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Failure::NoProfile { wanted, known }
    })
}
