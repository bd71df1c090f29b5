//! What must be set, worked out from what is there.

use std::fmt;

use super::wanted::{BFrames, Gop, TimeSource, Wanted};
use crate::model::{
    CameraClock, ClockSource, Codec, Encoder, EncoderOptions, Media, Ntp, Profile, RateControl,
};
use crate::operation::{Operation, SetClock};

/// What a camera was found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub profile: Profile,
    /// Empty where the camera tells none.
    pub options: Vec<EncoderOptions>,
    /// Read only where time is asked for, as is `ntp`.
    pub clock: Option<CameraClock>,
    /// None too where the camera has no NTP.
    pub ntp: Option<Ntp>,
    pub(crate) settings: Vec<(Setting, String)>,
}

impl Found {
    pub fn new(
        profile: Profile,
        options: Vec<EncoderOptions>,
        clock: Option<CameraClock>,
        ntp: Option<Ntp>,
    ) -> Self {
        Self { profile, options, clock, ntp, settings: Vec::new() }
    }
}

/// One thing that can be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    Codec,
    Resolution,
    FrameRate,
    EncodingInterval,
    Bitrate,
    Gop,
    CodingProfile,
    BFrames,
    Ntp,
    ClockSource,
}

/// What is to be done, and what cannot be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    pub steps: Vec<Step>,
    pub shortfalls: Vec<Shortfall>,
}

/// One `Set`, and what it is to change.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    pub operation: Operation,
    pub changes: Vec<Change>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub setting: Setting,
    pub from: String,
    pub to: String,
}

/// Something that is wanted and that the camera does not offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortfall {
    pub setting: Setting,
    pub wanted: String,
    pub taken: String,
}

/// The steps from `found` to `wanted`; none where the camera is as wanted, as far as it can be.
pub fn plan(wanted: &Wanted, found: &Found) -> Plan {
    let mut plan = Plan::default();
    if let Some(before) = &found.profile.encoder {
        let after = encoder(wanted, before, &found.options, found.profile.media, &mut plan.shortfalls);
        let changes = changes(encoder_settings(before), encoder_settings(&after));
        if !changes.is_empty() {
            let operation = Operation::SetEncoder { media: found.profile.media, encoder: Box::new(after) };
            plan.steps.push(Step { operation, changes });
        }
    }
    time(wanted, found, &mut plan);
    plan
}

/// `before` as it is wanted, within what is offered.
fn encoder(
    wanted: &Wanted,
    before: &Encoder,
    options: &[EncoderOptions],
    media: Media,
    shortfalls: &mut Vec<Shortfall>,
) -> Encoder {
    let mut after = before.clone();
    let mut short = |setting, wanted: String, taken: String| {
        if wanted != taken {
            shortfalls.push(Shortfall { setting, wanted, taken });
        }
    };

    if let Some(codec) = &wanted.codec {
        if options.is_empty() || options.iter().any(|options| options.codec == *codec) {
            after.codec = codec.clone();
        }
        short(Setting::Codec, codec.to_string(), after.codec.to_string());
    }
    let options = options.iter().find(|options| options.codec == after.codec);

    if let Some(resolution) = wanted.resolution {
        let offered = options.map(|options| options.resolutions.as_slice()).unwrap_or_default();
        // The nearest by number of pixels: what is computed from a picture needs about as many.
        let nearest = offered
            .iter()
            .copied()
            .min_by_key(|offer| (*offer != resolution, offer.pixels().abs_diff(resolution.pixels())));
        after.resolution = nearest.unwrap_or(resolution);
        short(Setting::Resolution, resolution.to_string(), after.resolution.to_string());
    }

    if let Some(frame_rate) = wanted.frame_rate {
        let offered = options.map_or(frame_rate, |options| options.frame_rates.nearest(frame_rate));
        // Media1 has whole frames per second only.
        let offered = if media == Media::Media1 { offered.round() } else { offered };
        let bitrate_kbps = options
            .and_then(|options| options.bitrate_kbps)
            .map_or(4096, |(low, high)| 4096.clamp(low, high));
        let none =
            RateControl { frame_rate: offered, bitrate_kbps, encoding_interval: 1, constant_bit_rate: None };
        let rate = after.rate.get_or_insert(none);
        rate.frame_rate = offered;
        rate.encoding_interval = 1;
        short(Setting::FrameRate, per_second(frame_rate), per_second(offered));
    }
    if let (Some(bitrate), Some(rate)) = (wanted.bitrate_kbps, &mut after.rate) {
        let offered = options.and_then(|options| options.bitrate_kbps);
        rate.bitrate_kbps = offered.map_or(bitrate, |(low, high)| bitrate.clamp(low, high));
        short(Setting::Bitrate, kbps(bitrate), kbps(rate.bitrate_kbps));
    }

    // Frames that really come: every n-th of the rate.
    let rate = after.rate.as_ref();
    let per_second = rate.map(|rate| rate.frame_rate / rate.encoding_interval.max(1) as f32);
    let gop = match (wanted.gop, per_second, after.gop) {
        (Gop::Keep, ..) => None,
        (Gop::Frames(frames), ..) => Some(frames),
        (Gop::AtMostOneSecond, None, _) => None,
        (Gop::AtMostOneSecond, Some(rate), current) => {
            let second = (rate.floor() as u32).max(1);
            Some(current.filter(|gop| (1..=second).contains(gop)).unwrap_or(second))
        }
    };
    if let (Some(gop), Codec::H264 | Codec::H265) = (gop, &after.codec) {
        let offered = options.and_then(|options| options.gop).map_or(gop, |(low, high)| gop.clamp(low, high));
        after.gop = Some(offered);
        short(Setting::Gop, gop.to_string(), offered.to_string());
    }

    coding_profile(wanted.b_frames, before, options, &mut after, &mut short);
    after
}

/// B-frames away: by their own switch where there is one, else by a coding profile without them.
fn coding_profile(
    b_frames: BFrames,
    before: &Encoder,
    options: Option<&EncoderOptions>,
    after: &mut Encoder,
    short: &mut impl FnMut(Setting, String, String),
) {
    let offered = options.map(|options| options.coding_profiles.as_slice()).unwrap_or_default();
    let has = |name: &str| offered.iter().any(|profile| profile == name);
    let changed_codec = after.codec != before.codec;
    let switch = options.is_some_and(|options| options.max_anchor_distance.is_some())
        || after.anchor_distance.is_some();
    if after.codec == Codec::H264 && b_frames == BFrames::Never && !switch {
        // Baseline has no B-frames by definition. Main may have, but cameras that name both use them in neither.
        let current = before.coding_profile.as_deref().filter(|_| !changed_codec);
        let chosen = match current {
            Some("Baseline") => "Baseline",
            Some("Main") if !has("Baseline") => "Main",
            _ if has("Baseline") || offered.is_empty() => "Baseline",
            _ if has("Main") => "Main",
            Some(other) => other,
            None => &offered[0], // neither empty, nor Baseline, nor Main
        };
        after.coding_profile = Some(chosen.to_owned());
        short(Setting::CodingProfile, "Baseline".to_owned(), chosen.to_owned());
    } else if changed_codec && after.coding_profile.as_ref().is_none_or(|profile| !has(profile)) {
        // Another codec has other profiles; `Main` is in all of them.
        let main = if has("Main") { Some("Main") } else { offered.first().map(String::as_str) };
        after.coding_profile = main.or((after.codec == Codec::H264).then_some("Main")).map(str::to_owned);
    }
    let possible = options.and_then(|options| options.max_anchor_distance).unwrap_or(0) > 1;
    let present = after.anchor_distance.map_or(possible, |distance| distance > 1);
    if b_frames == BFrames::Never && present && matches!(after.codec, Codec::H264 | Codec::H265) {
        after.anchor_distance = Some(1);
    }
    if after.codec == Codec::H264 && after.gop.is_some() && after.coding_profile.is_none() {
        after.coding_profile = Some("Main".to_owned());
    }
}

fn time(wanted: &Wanted, found: &Found, plan: &mut Plan) {
    let ntp = match &wanted.time {
        TimeSource::Keep => return,
        TimeSource::Ntp(servers) => Ntp { from_dhcp: false, servers: servers.clone() },
        TimeSource::NtpByDhcp => Ntp { from_dhcp: true, servers: Vec::new() },
    };
    let Some(before) = &found.ntp else {
        let taken = "the camera has no NTP".to_owned();
        plan.shortfalls.push(Shortfall { setting: Setting::Ntp, wanted: ntp.to_string(), taken });
        return;
    };
    let changes_ntp = changes(ntp_settings(before), ntp_settings(&ntp));
    if !changes_ntp.is_empty() {
        plan.steps.push(Step { operation: Operation::SetNtp(ntp), changes: changes_ntp });
    }
    if let Some(clock) = found.clock.as_ref().filter(|clock| clock.source != ClockSource::Ntp) {
        let after = CameraClock { source: ClockSource::Ntp, ..clock.clone() };
        let set = SetClock {
            source: ClockSource::Ntp,
            daylight_savings: clock.daylight_savings,
            time_zone: clock.time_zone.clone(),
            utc_unix_s: None,
        };
        let changes = changes(clock_settings(clock), clock_settings(&after));
        plan.steps.push(Step { operation: Operation::SetSystemDateAndTime(set), changes });
    }
}

/// Every setting of an encoder, as text: what is compared, planned and reported.
pub(super) fn encoder_settings(encoder: &Encoder) -> Vec<(Setting, String)> {
    let text = |value: Option<String>| value.unwrap_or_else(|| "none".to_owned());
    let rate = encoder.rate.as_ref();
    vec![
        (Setting::Codec, encoder.codec.to_string()),
        (Setting::Resolution, encoder.resolution.to_string()),
        (Setting::FrameRate, text(rate.map(|rate| per_second(rate.frame_rate)))),
        (Setting::EncodingInterval, text(rate.map(|rate| rate.encoding_interval.to_string()))),
        (Setting::Bitrate, text(rate.map(|rate| kbps(rate.bitrate_kbps)))),
        (Setting::Gop, text(encoder.gop.map(|gop| gop.to_string()))),
        (Setting::CodingProfile, text(encoder.coding_profile.clone())),
        (
            Setting::BFrames,
            match encoder.anchor_distance {
                None => "not told".to_owned(),
                Some(0 | 1) => "none".to_owned(),
                Some(distance) => format!("up to {} in a row", distance - 1),
            },
        ),
    ]
}

pub(super) fn ntp_settings(ntp: &Ntp) -> Vec<(Setting, String)> {
    vec![(Setting::Ntp, ntp.to_string())]
}

pub(super) fn clock_settings(clock: &CameraClock) -> Vec<(Setting, String)> {
    vec![(Setting::ClockSource, clock.source.to_string())]
}

/// Where `after` says something else than `before`; both have the same settings in the same order.
fn changes(before: Vec<(Setting, String)>, after: Vec<(Setting, String)>) -> Vec<Change> {
    let pairs = before.into_iter().zip(after);
    let differs = pairs.filter(|(from, to)| from != to);
    differs.map(|((setting, from), (_, to))| Change { setting, from, to }).collect()
}

fn per_second(rate: f32) -> String {
    format!("{rate} frames/s")
}

fn kbps(rate: u32) -> String {
    format!("{rate} kbit/s")
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Codec => "codec",
            Self::Resolution => "resolution",
            Self::FrameRate => "frame rate",
            Self::EncodingInterval => "encoding interval",
            Self::Bitrate => "bit rate",
            Self::Gop => "GOP",
            Self::CodingProfile => "coding profile",
            Self::BFrames => "B-frames",
            Self::Ntp => "NTP",
            Self::ClockSource => "clock",
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            writeln!(f, "nothing to set")?;
        }
        for step in &self.steps {
            let subject = match &step.operation {
                Operation::SetEncoder { media, encoder } => {
                    format!(" of encoder {} ({media})", encoder.token)
                }
                _ => String::new(),
            };
            writeln!(f, "{}{subject}", step.operation.name())?;
            for change in &step.changes {
                writeln!(f, "  {}: {} -> {}", change.setting, change.from, change.to)?;
            }
        }
        for shortfall in &self.shortfalls {
            writeln!(
                f,
                "not offered: {} {}; {} taken",
                shortfall.setting, shortfall.wanted, shortfall.taken
            )?;
        }
        Ok(())
    }
}
