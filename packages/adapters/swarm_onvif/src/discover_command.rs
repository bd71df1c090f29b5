//! `discover_cameras`: the cell's cameras as a table or as JSON. The executable calls [`main`] and nothing else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use futures::StreamExt as _;
use futures::stream;
use serde_json::{Value, json};

use crate::camera::Camera;
use crate::credentials::Keyring;
use crate::discovery::{DEFAULT_ROUND, Device, Discovery, Interfaces, discover};
use crate::error::{Failure, OnvifError};
use crate::model::{DeviceInformation, Profile};
use crate::tls::Trust;

/// Cameras that are talked to at once.
const AT_ONCE: usize = 16;

/// Finds the ONVIF cameras on the network.
///
/// Asks on all network interfaces that can multicast, or on those named. With credentials for a camera its model, serial number
/// and video are shown too. Exit status: 0 if a camera was found, 1 if none was, 2 if it could not be looked for.
#[derive(Debug, Clone, Parser)]
#[command(name = "discover_cameras")]
pub struct Arguments {
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,

    /// How long to wait for answers, in seconds (at least 0.6)
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_ROUND.as_secs_f64(), value_parser = seconds)]
    pub timeout: f64,

    /// Ask on this network interface only; may be given several times
    #[arg(long, value_name = "NAME")]
    pub interface: Vec<String>,

    /// Users and passwords, in a YAML file that only you may read; else SWARM_CAMERA_USER and SWARM_CAMERA_PASSWORD are taken
    #[arg(long, value_name = "FILE")]
    pub credentials: Option<PathBuf>,

    /// Talk TLS with cameras whatever certificate they show; whoever sits between can read and change everything
    #[arg(long)]
    pub dangerously_accept_any_certificate: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let expected = || "expected seconds from 0.6 to 60".to_owned();
    let seconds: f64 = text.parse().map_err(|_| expected())?;
    if (0.6..=60.0).contains(&seconds) { Ok(seconds) } else { Err(expected()) }
}

/// A camera, and what it told when it was asked.
#[derive(Debug)]
struct Entry {
    device: Device,
    services: Vec<String>,
    information: Option<DeviceInformation>,
    profiles: Vec<Profile>,
    /// Why no more is known.
    problem: Option<String>,
    asks_for_password: bool,
}

/// The whole program: arguments from the command line, answers to standard output, messages to standard error.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("discover_cameras: cannot start: {error}");
            return ExitCode::from(2);
        }
    };
    runtime.block_on(run(&arguments, &mut io::stdout().lock(), &mut io::stderr().lock()))
}

/// Looks for cameras, prints what was found to `out` and what went wrong to `messages`.
pub async fn run(arguments: &Arguments, out: &mut impl Write, messages: &mut impl Write) -> ExitCode {
    match look(arguments).await {
        Ok((discovery, entries)) => {
            // A closed pipe is no failure of the search.
            let _ = if arguments.json {
                writeln!(out, "{:#}", as_json(&discovery, &entries))
            } else {
                out.write_all(table(&entries).as_bytes())
            };
            let _ = messages.write_all(summary(&discovery, &entries).as_bytes());
            if entries.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS }
        }
        Err(problem) => {
            let _ = writeln!(messages, "discover_cameras: {problem}");
            ExitCode::from(2)
        }
    }
}

async fn look(arguments: &Arguments) -> Result<(Discovery, Vec<Entry>), String> {
    let keyring = Keyring::load(arguments.credentials.as_deref()).map_err(|error| error.to_string())?;
    let interfaces = match arguments.interface.as_slice() {
        [] => Interfaces::All,
        named => Interfaces::Named(named.to_vec()),
    };
    let round = Duration::from_secs_f64(arguments.timeout);
    let discovery = discover(&interfaces, round).await.map_err(|error| error.to_string())?;
    let any = arguments.dangerously_accept_any_certificate;
    let asked = stream::iter(discovery.devices.clone()).map(|device| ask(device, &keyring, any));
    Ok((discovery, asked.buffered(AT_ONCE).collect().await))
}

async fn ask(device: Device, keyring: &Keyring, any_certificate: bool) -> Entry {
    let mut entry = Entry {
        device,
        services: Vec::new(),
        information: None,
        profiles: Vec::new(),
        problem: None,
        asks_for_password: false,
    };
    if let Err(error) = fill(&mut entry, keyring, any_certificate).await {
        entry.asks_for_password = matches!(error.failure, Failure::CredentialsNeeded(_));
        entry.problem = Some(error.to_string());
    }
    entry
}

async fn fill(entry: &mut Entry, keyring: &Keyring, any_certificate: bool) -> Result<(), OnvifError> {
    let names = entry.device.names();
    let mut access = keyring.access(names.iter().map(String::as_str));
    if any_certificate && access.trust == Trust::Nothing {
        access.trust = Trust::DangerouslyAnyCertificate;
    }
    let mut camera = Camera::connect(entry.device.address().clone(), access).await?;
    entry.services = camera.services().short_names();
    entry.information = Some(camera.information().await?);
    entry.profiles = camera.profiles().await?;
    Ok(())
}

impl Entry {
    fn name(&self) -> String {
        self.device.name().unwrap_or_else(|| "-".to_owned())
    }

    fn model(&self) -> String {
        let told = self
            .information
            .as_ref()
            .map(|told| format!("{} {}", told.manufacturer, told.model).trim().to_owned());
        told.filter(|model| !model.is_empty())
            .or_else(|| self.device.hardware())
            .unwrap_or_else(|| "-".to_owned())
    }

    fn serial(&self) -> String {
        let told = self.information.as_ref().map(|told| told.serial_number.clone());
        told.filter(|serial| !serial.is_empty()).unwrap_or_else(|| "-".to_owned())
    }

    fn video(&self) -> String {
        let video: Vec<String> = self.profiles.iter().filter_map(video).collect();
        match (video.is_empty(), self.asks_for_password) {
            (false, _) => video.join(", "),
            (true, true) => "(needs a password)".to_owned(),
            (true, false) => "-".to_owned(),
        }
    }
}

/// `H264 1920x1080 30/s`
fn video(profile: &Profile) -> Option<String> {
    let encoder = profile.encoder.as_ref()?;
    let rate = encoder.rate.as_ref().map(|rate| format!(" {}/s", rate.frame_rate)).unwrap_or_default();
    Some(format!("{} {}{rate}", encoder.codec, encoder.resolution))
}

fn table(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut rows = vec![["NAME", "MODEL", "SERIAL", "ADDRESS", "SERVICES", "VIDEO"].map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        let services = if entry.services.is_empty() { "-".to_owned() } else { entry.services.join(" ") };
        [
            entry.name(),
            entry.model(),
            entry.serial(),
            entry.device.address().to_string(),
            services,
            entry.video(),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; 6] = std::array::from_fn(width);
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// What a person should know besides the table.
fn summary(discovery: &Discovery, entries: &[Entry]) -> String {
    let mut text = String::new();
    let mut line = |words: String| text = std::mem::take(&mut text) + &words + "\n";
    for entry in entries {
        let address = entry.device.address();
        entry.device.oddities.iter().for_each(|oddity| line(format!("{address}: {oddity}")));
        // That it needs a password, the table says.
        entry.problem.iter().filter(|_| !entry.asks_for_password).for_each(|problem| line(problem.clone()));
    }
    for unreadable in &discovery.unreadable {
        line(format!(
            "{} on {}: not readable: {}",
            unreadable.from, unreadable.interface, unreadable.problem
        ));
    }
    discovery.problems.iter().for_each(|problem| line(format!("not asked on {problem}")));
    let found = match entries.len() {
        0 => "no camera found".to_owned(),
        1 => "1 camera found".to_owned(),
        count => format!("{count} cameras found"),
    };
    line(format!("{found}; asked on {}", discovery.asked.join(", ")));
    if entries.is_empty() {
        line(
            "is the camera on, in this network (not behind a router), and is its discovery mode on?"
                .to_owned(),
        );
    }
    text
}

fn as_json(discovery: &Discovery, entries: &[Entry]) -> Value {
    let profile = |profile: &Profile| {
        let encoder = profile.encoder.as_ref().map(|encoder| {
            json!({
                "codec": encoder.codec.name(),
                "width": encoder.resolution.width,
                "height": encoder.resolution.height,
                "frame_rate": encoder.rate.as_ref().map(|rate| rate.frame_rate),
                "bitrate_kbps": encoder.rate.as_ref().map(|rate| rate.bitrate_kbps),
                "gop": encoder.gop,
                "coding_profile": encoder.coding_profile,
            })
        });
        json!({"token": profile.token, "name": profile.name, "media": profile.media.to_string(), "video": encoder})
    };
    let camera = |entry: &Entry| {
        let device = &entry.device;
        let information = entry.information.as_ref();
        json!({
            "name": device.name(),
            "manufacturer": information.map(|told| &told.manufacturer),
            "model": information.map(|told| told.model.clone()).or_else(|| device.hardware()),
            "serial": information.map(|told| &told.serial_number),
            "firmware": information.map(|told| &told.firmware),
            "address": device.address().to_string(),
            "addresses": device.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "endpoint": device.endpoint,
            "interfaces": device.interfaces,
            "types": device.types,
            "scopes": device.scopes,
            "services": entry.services,
            "profiles": entry.profiles.iter().map(profile).collect::<Vec<_>>(),
            "needs_password": entry.asks_for_password,
            "problem": entry.problem,
            "oddities": device.oddities.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })
    };
    let unreadable = discovery.unreadable.iter().map(|unreadable| {
        json!({"from": unreadable.from.to_string(), "interface": unreadable.interface, "problem": unreadable.problem})
    });
    json!({
        "cameras": entries.iter().map(camera).collect::<Vec<_>>(),
        "asked": discovery.asked,
        "problems": discovery.problems,
        "unreadable": unreadable.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        let refused = |arguments: &[&str]| {
            Arguments::try_parse_from(["discover_cameras"].iter().chain(arguments)).unwrap_err().to_string()
        };
        assert!(refused(&["--timeout", "0.1"]).contains("expected seconds from 0.6 to 60"));
        assert!(refused(&["--timeout", "NaN"]).contains("expected seconds from 0.6 to 60"));
        let all =
            ["discover_cameras", "--json", "--interface", "a", "--interface", "b", "--credentials", "f"];
        assert_eq!(Arguments::try_parse_from(all).unwrap().interface, ["a", "b"]);
    }

    #[tokio::test]
    async fn what_cannot_be_looked_for_is_status_2_with_a_reason() {
        let arguments = Arguments::try_parse_from(["discover_cameras", "--interface", "nowhere0"]).unwrap();
        let (mut out, mut messages) = (Vec::new(), Vec::new());
        let status = run(&arguments, &mut out, &mut messages).await;
        assert_eq!(format!("{status:?}"), format!("{:?}", ExitCode::from(2)));
        let messages = String::from_utf8(messages).unwrap();
        assert!(
            messages.starts_with("discover_cameras: no network interface `nowhere0` is up; up are: "),
            "{messages}"
        );
    }

    #[test]
    fn nothing_found_says_where_was_asked() {
        let discovery = Discovery { asked: vec!["eth0 (192.168.1.10)".into()], ..Discovery::default() };
        assert_eq!(
            summary(&discovery, &[]),
            "no camera found; asked on eth0 (192.168.1.10)\n\
             is the camera on, in this network (not behind a router), and is its discovery mode on?\n"
        );
    }

    fn entry(address: &str) -> Entry {
        let address: crate::ServiceUrl = address.parse().unwrap();
        let device = Device {
            endpoint: None,
            types: vec![],
            scopes: vec![
                "onvif://www.onvif.org/name/Left".into(),
                "onvif://www.onvif.org/hardware/M1".into(),
            ],
            addresses: vec![address],
            from: vec![],
            interfaces: vec![],
            answers: 1,
            oddities: vec![crate::Oddity::NoEndpoint],
        };
        let (services, profiles) = (vec![], vec![]);
        Entry { device, services, information: None, profiles, problem: None, asks_for_password: true }
    }

    #[test]
    fn the_table_shows_what_is_known() {
        let mut known = entry("192.168.1.101");
        known.asks_for_password = false;
        known.services = vec!["device".into(), "media2".into()];
        known.information = Some(DeviceInformation {
            manufacturer: "Acme".into(),
            model: "Eye 3".into(),
            serial_number: "00:11".into(),
            ..DeviceInformation::default()
        });
        known.profiles = vec![Profile {
            media: crate::Media::Media2,
            token: "P".into(),
            name: "main".into(),
            encoder: Some(crate::Encoder {
                token: "V".into(),
                name: "v".into(),
                use_count: 1,
                codec: crate::Codec::H264,
                resolution: crate::Resolution::new(1920, 1080),
                quality: 1.0,
                rate: Some(crate::RateControl {
                    frame_rate: 29.97,
                    bitrate_kbps: 1,
                    encoding_interval: 1,
                    constant_bit_rate: None,
                }),
                gop: None,
                coding_profile: None,
                anchor_distance: None,
                guaranteed_frame_rate: None,
                multicast: None,
                session_timeout: None,
            }),
        }];
        let entries = [known, entry("[fd00::1]:8080")];
        assert_eq!(
            table(&entries),
            "NAME  MODEL       SERIAL  ADDRESS                                     SERVICES       VIDEO\n\
             Left  Acme Eye 3  00:11   http://192.168.1.101/onvif/device_service   device media2  H264 1920x1080 29.97/s\n\
             Left  M1          -       http://[fd00::1]:8080/onvif/device_service  -              (needs a password)\n"
        );
        let discovery = Discovery { asked: vec!["eth0 (192.168.1.10)".into()], ..Discovery::default() };
        assert!(summary(&discovery, &entries).ends_with(
            "http://[fd00::1]:8080/onvif/device_service: no endpoint reference\n\
             2 cameras found; asked on eth0 (192.168.1.10)\n"
        ));
        assert_eq!(as_json(&discovery, &entries)["cameras"][0]["profiles"][0]["video"]["width"], 1920);
    }
}
