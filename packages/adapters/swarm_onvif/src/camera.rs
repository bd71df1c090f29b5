//! One camera: what it is asked, one thing after the other.

use std::time::{SystemTime, UNIX_EPOCH};

use roxmltree::Node;

use crate::address::{Host, ServiceUrl};
use crate::answer;
use crate::auth::{self, Login, Tried, username_token};
use crate::credentials::Access;
use crate::error::{Excerpt, Failure, Fault, OnvifError};
use crate::http::{self, Post, Reply};
use crate::model::{CameraClock, DeviceInformation, Encoder, EncoderOptions, Media, Ntp, Profile, Services};
use crate::operation::{MEDIA1, MEDIA2, Operation};

/// A camera that has answered. One operation is under way at a time; drop the camera to be done with it.
#[derive(Debug)]
pub struct Camera {
    url: ServiceUrl,
    access: Access,
    login: Login,
    /// Seconds by which the camera's clock is ahead of ours; unknown until it has told its time.
    ahead_s: Option<i64>,
    services: Services,
}

impl Camera {
    /// Asks the device service at `url` for its time and its services, for which most cameras need no password.
    pub async fn connect(url: ServiceUrl, access: Access) -> Result<Self, OnvifError> {
        let mut camera =
            Self { url, access, login: Login::Open, ahead_s: None, services: Services::default() };
        // Its time first: a token is made with the camera's clock. A camera that does not tell it has ours.
        match camera.clock().await {
            Err(error)
                if !error.failure.is_unsupported()
                    && !matches!(error.failure, Failure::CredentialsNeeded(_)) =>
            {
                return Err(error);
            }
            _ => {}
        }
        camera.services = match camera.ask(&Operation::GetServices, answer::services).await {
            Err(error) if error.failure.is_unsupported() => {
                camera.ask(&Operation::GetCapabilities, answer::capabilities).await?
            }
            other => other?,
        };
        Ok(camera)
    }

    pub fn url(&self) -> &ServiceUrl {
        &self.url
    }

    pub fn services(&self) -> &Services {
        &self.services
    }

    pub async fn information(&mut self) -> Result<DeviceInformation, OnvifError> {
        self.ask(&Operation::GetDeviceInformation, |node| Ok(answer::device_information(node))).await
    }

    /// The camera's clock beside ours.
    pub async fn clock(&mut self) -> Result<CameraClock, OnvifError> {
        let before = unix_s();
        let mut clock = self.ask(&Operation::GetSystemDateAndTime, answer::clock).await?;
        clock.ahead_s = clock.utc_unix_s.map(|utc| utc - i64::midpoint(before, unix_s()));
        self.ahead_s = clock.ahead_s.or(self.ahead_s);
        Ok(clock)
    }

    pub async fn ntp(&mut self) -> Result<Ntp, OnvifError> {
        self.ask(&Operation::GetNtp, answer::ntp).await
    }

    /// The profiles of Media2 where the camera lists that service and has any there, else those of Media1.
    pub async fn profiles(&mut self) -> Result<Vec<Profile>, OnvifError> {
        if self.services.find(MEDIA2).is_some() {
            let found = self.profiles_of(Media::Media2).await;
            match found {
                Ok(profiles) if profiles.iter().any(|profile| profile.encoder.is_some()) => {
                    return Ok(profiles);
                }
                Err(error) if self.services.find(MEDIA1).is_none() => return Err(error),
                Err(error) if !error.failure.is_unsupported() => return Err(error),
                // Listed, but empty or broken: Media1 has them.
                _ => {}
            }
        }
        self.profiles_of(Media::Media1).await
    }

    pub(crate) async fn profiles_of(&mut self, media: Media) -> Result<Vec<Profile>, OnvifError> {
        self.ask(&Operation::GetProfiles(media), |node| Ok(answer::profiles(node, media))).await
    }

    /// Where the RTSP stream of `profile` is, for RTP over the RTSP connection; never with user and password in it.
    pub async fn stream_uri(&mut self, profile: &Profile) -> Result<String, OnvifError> {
        let operation = Operation::GetStreamUri { media: profile.media, profile: profile.token.clone() };
        let uri = self.ask(&operation, answer::stream_uri).await?;
        Ok(reachable(&uri, &self.url.host))
    }

    pub async fn encoder(&mut self, media: Media, token: &str) -> Result<Encoder, OnvifError> {
        let operation = Operation::GetEncoder { media, encoder: token.to_owned() };
        self.ask(&operation, |node| answer::encoder(node, media, token)).await
    }

    pub async fn encoder_options(
        &mut self,
        profile: &Profile,
        encoder: &Encoder,
    ) -> Result<Vec<EncoderOptions>, OnvifError> {
        let media = profile.media;
        let (encoder, profile) = (encoder.token.clone(), profile.token.clone());
        let operation = Operation::GetEncoderOptions { media, encoder, profile };
        self.ask(&operation, |node| Ok(answer::encoder_options(node, media))).await
    }

    /// Carries out one of the operations that change something. What the camera made of it, a read afterwards shows.
    pub async fn set(&mut self, operation: &Operation) -> Result<(), OnvifError> {
        self.ask(operation, |_| Ok(())).await
    }

    async fn ask<T>(
        &mut self,
        operation: &Operation,
        read: impl FnOnce(Node<'_, '_>) -> Result<T, Failure>,
    ) -> Result<T, OnvifError> {
        let url = match self.service(operation) {
            Ok(url) => url,
            Err(failure) => {
                let url = Box::new(self.url.clone());
                return Err(OnvifError { operation: operation.name(), url, failure });
            }
        };
        let outcome = self.ask_at(&url, operation, read).await;
        outcome.map_err(|failure| OnvifError { operation: operation.name(), url: Box::new(url), failure })
    }

    /// Where the service is that has `operation`.
    fn service(&self, operation: &Operation) -> Result<ServiceUrl, Failure> {
        let namespace = operation.namespace();
        let name = match namespace {
            MEDIA1 => "Media1",
            MEDIA2 => "Media2",
            _ => return Ok(self.url.clone()),
        };
        let service = self.services.find(namespace).ok_or(Failure::NoService(name))?;
        // An address that is none (some cameras give a path alone) leaves the device's own.
        Ok(ServiceUrl::from_device(&service.address, 0)
            .map_or_else(|| self.url.clone(), |given| self.url.service(&given)))
    }

    /// 1. Sends with the way to log in that worked last; 2. goes the way that a refusal asks for, each once; 3. reads.
    async fn ask_at<T>(
        &mut self,
        url: &ServiceUrl,
        operation: &Operation,
        read: impl FnOnce(Node<'_, '_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tried = Tried::default();
        loop {
            let reply = self.send(url, operation).await?;
            let fault = answer::fault(&reply.body);
            let Some(refusal) = auth::refusal(&reply, fault.as_ref()) else {
                return read_reply(operation, &reply, fault, read);
            };
            if self.ahead_s.is_none() {
                // A camera that tells its time only to whom it knows still dates its refusal.
                self.ahead_s = reply.date.map(|date| date - unix_s());
            }
            match auth::next(&refusal, &reply.challenges, tried, self.access.credentials.as_ref()) {
                Ok(login) => {
                    match login {
                        Login::Digest(_) => tried.digest = true,
                        Login::Token => tried.token = true,
                        Login::Open => {}
                    }
                    self.login = login;
                }
                Err(failure) => {
                    self.login = Login::Open;
                    return Err(failure);
                }
            }
        }
    }

    async fn send(&mut self, url: &ServiceUrl, operation: &Operation) -> Result<Reply, Failure> {
        let (mut security, mut authorization) = (String::new(), None);
        if let Some(credentials) = &self.access.credentials {
            match &mut self.login {
                Login::Open => {}
                Login::Token => {
                    let now = unix_s() + self.ahead_s.unwrap_or(0);
                    security = username_token(credentials, now, rand::random());
                }
                Login::Digest(client) => {
                    let parameters = http_auth::PasswordParams {
                        username: credentials.user(),
                        password: credentials.reveal_password(),
                        uri: &url.path,
                        method: "POST",
                        body: None,
                    };
                    let answer = client.respond(&parameters);
                    authorization = Some(answer.map_err(|error| Failure::Http(format!("Digest: {error}")))?);
                }
            }
        }
        let content_type = format!("application/soap+xml; charset=utf-8; action=\"{}\"", operation.action());
        let post = Post { url, content_type, authorization, body: operation.envelope(&security) };
        http::send(post, self.access.trust, self.access.timeout).await
    }
}

fn read_reply<T>(
    operation: &Operation,
    reply: &Reply,
    fault: Option<Fault>,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    if let Some(fault) = fault {
        return Err(Failure::Fault(fault));
    }
    match (reply.status, &reply.location) {
        (status @ 300..400, Some(to)) => Err(Failure::Moved { status, to: to.clone() }),
        (status @ 300..400, None) => Err(Failure::Status { status, body: Excerpt::of(&reply.body) }),
        (status, _) => answer::open(operation.name(), status, &reply.body, read),
    }
}

/// `uri`, with the camera's own host where the one in it leads nowhere or back to ourselves.
fn reachable(uri: &str, camera: &Host) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let (host, port) = match authority.rfind(':').filter(|colon| *colon > authority.rfind(']').unwrap_or(0)) {
        Some(colon) => authority.split_at(colon),
        None => (authority, ""),
    };
    let ip = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let link_local = matches!(ip, Ok(std::net::IpAddr::V6(address)) if address.is_unicast_link_local());
    let useless = matches!(ip, Ok(ip) if ip.is_unspecified() || ip.is_loopback());
    let is_ours = camera.ip().is_some_and(|ip| ip.is_loopback());
    // A link-local address needs the zone that only we know.
    if host.is_empty() || link_local || (useless && !is_ours) {
        format!("{scheme}://{camera}{port}{path}")
    } else {
        uri.to_owned()
    }
}

fn unix_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_on_the_cameras_own_loopback_is_found_at_the_camera() {
        let host = |text: &str| text.parse::<ServiceUrl>().unwrap().host;
        let v4 = host("192.168.1.101");
        assert_eq!(reachable("rtsp://127.0.0.1:8554/main", &v4), "rtsp://192.168.1.101:8554/main");
        assert_eq!(reachable("rtsp://0.0.0.0/main?x=1", &v4), "rtsp://192.168.1.101/main?x=1");
        assert_eq!(reachable("rtsp://10.0.0.2:554/main", &v4), "rtsp://10.0.0.2:554/main");
        assert_eq!(reachable("rtsp://camera-1/main", &v4), "rtsp://camera-1/main");
        let v6 = host("[fe80::1%4]");
        assert_eq!(reachable("rtsp://[fe80::1]:554/main", &v6), "rtsp://[fe80::1%4]:554/main");
        assert_eq!(reachable("rtsp://127.0.0.1/main", &host("127.0.0.1:8080")), "rtsp://127.0.0.1/main");
    }
}
