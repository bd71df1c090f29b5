//! Finding a camera: where its stream is, whose it is, and who may see it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use swarm_base::ErrorChain;
use swarm_capture_core::search::Remedy;
use swarm_onvif::{
    Access, Camera, Credentials, Failure, Keyring, NtpServer, OnvifError, Profile, Report, Resolution,
    ServiceUrl, TimeSource, Wanted,
};
use swarm_rtsp::{Address, Backend, Source, Transport};

use crate::settings::{CameraSettings, Settings};
use crate::studio::CameraState;

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
}

/// Why there is no stream, as it is shown to the user, and what would mend it.
#[derive(Debug)]
pub(crate) struct NotFound {
    pub state: CameraState,
    pub remedy: Remedy,
    pub detail: String,
}

impl NotFound {
    /// A person has to set something right, and will not be waited for.
    fn refused(detail: String) -> Self {
        Self { state: CameraState::Refused, remedy: Remedy::Camera, detail }
    }
}

impl From<OnvifError> for NotFound {
    fn from(error: OnvifError) -> Self {
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
        // Nothing else of these shows the camera a password.
        let remedy = match error.failure {
            Failure::WrongPassword { .. } => Remedy::Password,
            _ => Remedy::Camera,
        };
        let state = if person { CameraState::Refused } else { CameraState::Connecting };
        Self { state, remedy, detail: ErrorChain(&error).to_string() }
    }
}

/// Looks for one camera.
#[derive(Debug)]
pub(crate) struct Finder<'a> {
    settings: &'a Settings,
    keyring: &'a Keyring,
    camera: &'a CameraSettings,
    /// By its serial number, what the camera made of its settings. It outlives looks that fail later on.
    told: Mutex<Option<(String, Report)>>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(settings: &'a Settings, keyring: &'a Keyring, camera: &'a CameraSettings) -> Self {
        Self { settings, keyring, camera, told: Mutex::default() }
    }

    /// Finds the stream of the camera. With ONVIF the camera is set up on the way, as the settings say.
    pub(crate) async fn find(&self) -> Result<Found, NotFound> {
        let typed = &self.camera.address;
        let (address, serial, credentials) = if self.camera.is_stream() {
            let address: Address =
                typed.parse().map_err(|error| NotFound::refused(format!("'{typed}': {error}")))?;
            let access = self.keyring.access([address.host().as_str()]);
            (address, String::new(), access.credentials)
        } else {
            self.ask().await?
        };
        let mut source = Source::new(address);
        source.credentials = credentials.map(|known| swarm_rtsp::Credentials {
            user: known.user().to_owned(),
            password: known.reveal_password().to_owned(),
        });
        if self.settings.gstreamer {
            source.backend = Backend::Gstreamer;
        }
        if self.settings.udp {
            source.transport = Transport::Udp { reorder: REORDER };
        }
        Ok(Found { source, serial })
    }

    /// Asks the camera who it is and where its stream is, and sets it up between the two.
    async fn ask(&self) -> Result<(Address, String, Option<Credentials>), NotFound> {
        let typed = &self.camera.address;
        let url: ServiceUrl =
            typed.parse().map_err(|error| NotFound::refused(format!("'{typed}': {error}")))?;
        let host = url.host().to_string();
        let access = self.keyring.access([typed.as_str(), host.as_str()]);
        let credentials = access.credentials.clone();
        let mut camera = self.connect(url, access).await?;
        let serial = self.serial(&mut camera).await?;
        let profile = self.set_up(&mut camera, &serial, &host).await?;
        let uri = camera.stream_uri(&profile).await?;
        let address: Address = uri.parse().map_err(|error| {
            NotFound::refused(format!(
                "{host} says that its stream is at '{uri}', which cannot be played: {error}"
            ))
        })?;
        let credentials = self.credentials_for(&host, &address, credentials).await;
        Ok((address, serial, credentials))
    }

    async fn connect(&self, url: ServiceUrl, access: Access) -> Result<Camera, NotFound> {
        let typed = &self.camera.address;
        let error = match Camera::connect(url, access.clone()).await {
            Ok(camera) => return Ok(camera),
            Err(error) => error,
        };
        // Nobody at the usual port: perhaps the camera says another one when it is asked where it is.
        if is_elsewhere(&error.failure)
            && typed.parse::<IpAddr>().is_ok()
            && let Some(other) = elsewhere(typed).await
        {
            return Ok(Camera::connect(other, access).await?);
        }
        Err(error.into())
    }

    /// What the camera calls itself; empty where it does not say and it makes no difference.
    async fn serial(&self, camera: &mut Camera) -> Result<String, NotFound> {
        let error = match camera.information().await {
            Ok(information) => return Ok(information.serial_number),
            Err(error) => error,
        };
        // To go on would be to try it again.
        let refused = matches!(error.failure, Failure::WrongPassword { .. });
        let mut missing = NotFound::from(error);
        if refused {
            return Err(missing);
        }
        if self.settings.calibration_file.is_some() {
            missing.detail += "; without its serial number its calibration is not known, so that it is asked again \
                               (a camera that never tells it is recorded without calibration_file)";
            return Err(missing);
        }
        Ok(String::new())
    }

    /// Sets the camera up, and says which of its profiles is recorded.
    async fn set_up(&self, camera: &mut Camera, serial: &str, host: &str) -> Result<Profile, NotFound> {
        let Some(wanted) = self.wanted() else {
            let profiles = camera.profiles().await?;
            return profiles.into_iter().find(|profile| profile.encoder.is_some()).ok_or_else(|| {
                NotFound::refused(format!(
                    "{host} offers no profile with video; make one in the camera's settings"
                ))
            });
        };
        let before = self.told().clone().filter(|(known, _)| known == serial).map(|(_, report)| report);
        let report = match &before {
            Some(before) => camera.configure_again(&wanted, before).await?,
            None => camera.configure(&wanted).await?,
        };
        if before.is_none_or(|before| before.to_string() != report.to_string()) {
            self.log(&report);
        }
        let profile = report.profile.clone();
        *self.told() = Some((serial.to_owned(), report));
        Ok(profile)
    }

    fn log(&self, report: &Report) {
        let name = &self.camera.name;
        if report.is_as_wanted() {
            tracing::info!("{name}: {report}");
        } else {
            tracing::warn!("{name} is not set up as asked: {report}");
        }
    }

    fn told(&self) -> MutexGuard<'_, Option<(String, Report)>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// None: cameras are taken as they are.
    fn wanted(&self) -> Option<Wanted> {
        let wanted = self.settings.configure?;
        let time = match self.settings.ntp_server.as_str() {
            "" => TimeSource::Keep,
            server => TimeSource::Ntp(vec![NtpServer::new(server)]),
        };
        Some(Wanted {
            frame_rate: (wanted.frame_rate > 0.0).then_some(wanted.frame_rate as f32),
            resolution: wanted.resolution.map(|(width, height)| Resolution { width, height }),
            time,
            ..Wanted::default()
        })
    }

    /// Those that the stream at `address` may see: RTSP may ask for the password in the clear.
    async fn credentials_for(
        &self,
        host: &str,
        address: &Address,
        credentials: Option<Credentials>,
    ) -> Option<Credentials> {
        let other = address.host();
        if is_same_host(host, &other).await {
            return credentials;
        }
        let own = self.keyring.own_credentials(&other);
        if credentials.is_some() && own.is_none() {
            tracing::warn!(
                "{host} says that its stream is at '{address}', on another host: the password is not shown there; if that is \
                 right, give {other} an entry of its own in the credentials file"
            );
        }
        own
    }
}

/// Whether who answered, if anybody did, is no ONVIF service: a camera's may be at another port than the usual one.
fn is_elsewhere(failure: &Failure) -> bool {
    matches!(
        failure,
        Failure::Connect(_)
            | Failure::ConnectTimeout(_)
            | Failure::Status { .. }
            | Failure::Moved { .. }
            | Failure::NotSoap { .. }
    )
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
mod tests;
