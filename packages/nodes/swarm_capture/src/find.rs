//! Finding a camera: where its stream is, whose it is, and who may see it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use swarm_base::ErrorChain;
use swarm_onvif::{Failure, NtpServer, OnvifError, Resolution, ServiceUrl, TimeSource, Wanted};
use swarm_rtsp::{Backend, Source, Transport};

use crate::studio::{CameraState, Desk, Studio};

/// How long packets may wait for those before them, over UDP.
const REORDER: Duration = Duration::from_millis(50);

/// A stream, and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub source: Source,
    /// Empty where nobody was asked, since the stream itself is named in the settings, or where the camera did not say.
    pub serial: String,
}

impl Found {
    /// Whether the stream is at another place than `other`, or another user sees it.
    pub(crate) fn is_elsewhere(&self, other: &Self) -> bool {
        self.source.address != other.source.address || self.source.credentials != other.source.credentials
    }

    /// A camera that this time did not say who it is counts as the one that was here `before`: its frames go on being counted.
    pub(crate) fn known_from(mut self, before: &Self) -> Self {
        if self.serial.is_empty() {
            self.serial.clone_from(&before.serial);
        }
        self
    }
}

/// Why there is no stream, as it is shown to the user.
#[derive(Debug)]
pub(crate) struct NotFound {
    pub state: CameraState,
    pub detail: String,
}

/// Finds the stream of a camera. With ONVIF the camera is set up on the way, as the settings say.
pub(crate) async fn find(studio: &Studio, desk: &Desk) -> Result<Found, NotFound> {
    let refused = |detail: String| NotFound { state: CameraState::Refused, detail };
    let typed = &desk.settings.address;
    let (uri, serial, credentials) = if desk.settings.is_stream() {
        let address: swarm_rtsp::Address =
            typed.parse().map_err(|error| refused(format!("'{typed}': {error}")))?;
        let access = studio.keyring.access([address.host().as_str()]);
        (address, String::new(), access.credentials)
    } else {
        ask(studio, desk).await?
    };
    let mut source = Source::new(uri);
    source.credentials = credentials.map(|known| swarm_rtsp::Credentials {
        user: known.user().to_owned(),
        password: known.reveal_password().to_owned(),
    });
    if studio.settings.gstreamer {
        source.backend = Backend::Gstreamer;
    }
    if studio.settings.udp {
        source.transport = Transport::Udp { reorder: REORDER };
    }
    Ok(Found { source, serial })
}

/// Asks the camera where its stream is, and sets it up.
async fn ask(
    studio: &Studio,
    desk: &Desk,
) -> Result<(swarm_rtsp::Address, String, Option<swarm_onvif::Credentials>), NotFound> {
    let typed = &desk.settings.address;
    let failed = |error: &OnvifError| {
        let person = matches!(
            error.failure,
            Failure::WrongPassword { .. }
                | Failure::CredentialsNeeded(_)
                | Failure::OnlyBasic
                | Failure::UnknownCertificate { .. }
                | Failure::OtherCertificate { .. }
                | Failure::NoProfile { .. }
                | Failure::NoService(_)
        );
        let state = if person { CameraState::Refused } else { CameraState::Connecting };
        NotFound { state, detail: ErrorChain(error).to_string() }
    };
    let url: ServiceUrl = typed
        .parse()
        .map_err(|error| NotFound { state: CameraState::Refused, detail: format!("'{typed}': {error}") })?;
    let host = url.host().to_string();
    let access = studio.keyring.access([typed.as_str(), host.as_str()]);
    let credentials = access.credentials.clone();
    let mut camera = match swarm_onvif::Camera::connect(url.clone(), access.clone()).await {
        Ok(camera) => camera,
        // Nobody at the usual port: perhaps the camera says another one when it is asked where it is.
        Err(error) if typed.parse::<IpAddr>().is_ok() => match elsewhere(typed).await {
            Some(other) => {
                swarm_onvif::Camera::connect(other, access).await.map_err(|error| failed(&error))?
            }
            None => return Err(failed(&error)),
        },
        Err(error) => return Err(failed(&error)),
    };
    let serial = camera.information().await.map(|information| information.serial_number).unwrap_or_default();
    let profile = if let Some(wanted) = studio.settings.configure {
        let time = match studio.settings.ntp_server.as_str() {
            "" => TimeSource::Keep,
            server => TimeSource::Ntp(vec![NtpServer::new(server)]),
        };
        let wanted = Wanted {
            frame_rate: (wanted.frame_rate > 0.0).then_some(wanted.frame_rate as f32),
            resolution: wanted.resolution.map(|(width, height)| Resolution { width, height }),
            time,
            ..Wanted::default()
        };
        let report = camera.configure(&wanted).await.map_err(|error| failed(&error))?;
        let name = &desk.settings.name;
        if report.is_as_wanted() {
            tracing::info!("{name}: {report}");
        } else {
            tracing::warn!("{name} is not set up as asked: {report}");
        }
        report.profile
    } else {
        let profiles = camera.profiles().await.map_err(|error| failed(&error))?;
        profiles.into_iter().find(|profile| profile.encoder.is_some()).ok_or_else(|| NotFound {
            state: CameraState::Refused,
            detail: format!("{host} offers no profile with video; make one in the camera's settings"),
        })?
    };
    let uri = camera.stream_uri(&profile).await.map_err(|error| failed(&error))?;
    let address: swarm_rtsp::Address = uri.parse().map_err(|error| NotFound {
        state: CameraState::Refused,
        detail: format!("{host} says that its stream is at '{uri}', which is no RTSP address: {error}"),
    })?;
    // RTSP may ask for the password in the clear.
    let credentials = if is_same_host(&host, &address.host()).await {
        credentials
    } else {
        let other = address.host();
        let own = studio.keyring.own_credentials(&other);
        if credentials.is_some() && own.is_none() {
            tracing::warn!(
                "{host} says that its stream is at '{address}', on another host: the password is not shown there; if that is \
                 right, give {other} an entry of its own in the credentials file"
            );
        }
        own
    };
    Ok((address, serial, credentials))
}

/// Whether two names or numbers stand for one host.
async fn is_same_host(one: &str, other: &str) -> bool {
    let addresses = async |host: &str| -> BTreeSet<IpAddr> {
        let found = tokio::net::lookup_host((host.trim_matches(['[', ']']), 0)).await;
        found.map(|found| found.map(|address| address.ip().to_canonical()).collect()).unwrap_or_default()
    };
    one == other || !addresses(one).await.is_disjoint(&addresses(other).await)
}

/// Where the device with this IP address says its service is.
async fn elsewhere(ip: &str) -> Option<ServiceUrl> {
    let round =
        swarm_onvif::discover(&swarm_onvif::Interfaces::All, swarm_onvif::DEFAULT_ROUND).await.ok()?;
    let here = |url: &&ServiceUrl| url.host().to_string() == ip;
    round.devices.iter().flat_map(|device| &device.addresses).find(here).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_does_not_say_who_it_is_counts_as_the_one_before() {
        let of = |serial: &str| Found {
            source: Source::new("rtsp://10.0.0.1/stream".parse().unwrap()),
            serial: serial.to_owned(),
        };
        for (before, now, expected) in [("S1", "", "S1"), ("S1", "S2", "S2"), ("", "S1", "S1"), ("", "", "")]
        {
            assert_eq!(of(now).known_from(&of(before)).serial, expected, "'{before}' and then '{now}'");
        }
    }

    #[tokio::test]
    async fn a_host_goes_by_its_name_and_by_its_numbers() {
        for (one, other) in
            [("10.0.0.1", "10.0.0.1"), ("localhost", "127.0.0.1"), ("[::ffff:10.0.0.1]", "10.0.0.1")]
        {
            assert!(is_same_host(one, other).await, "{one} {other}");
        }
        for (one, other) in
            [("10.0.0.1", "10.0.0.2"), ("127.0.0.1", "10.0.0.1"), ("nobody.invalid", "10.0.0.1")]
        {
            assert!(!is_same_host(one, other).await, "{one} {other}");
        }
    }
}
