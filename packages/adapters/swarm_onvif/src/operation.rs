//! What is sent to a camera: the operations, as data, and their bodies.
//!
//! Every body is valid against ONVIF's own schemas; the peer tests check each of them.

use std::fmt::Write as _;
use std::net::IpAddr;

use time::OffsetDateTime;

use crate::model::{ClockSource, Codec, Encoder, Media, Multicast, Ntp, NtpServer};
use crate::xml::escape;

pub(crate) const DEVICE: &str = "http://www.onvif.org/ver10/device/wsdl";
pub(crate) const MEDIA1: &str = "http://www.onvif.org/ver10/media/wsdl";
pub(crate) const MEDIA2: &str = "http://www.onvif.org/ver20/media/wsdl";
const SCHEMA: &str = "http://www.onvif.org/ver10/schema";
const SOAP: &str = "http://www.w3.org/2003/05/soap-envelope";

/// One operation with its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    GetSystemDateAndTime,
    SetSystemDateAndTime(SetClock),
    GetNtp,
    SetNtp(Ntp),
    GetDeviceInformation,
    GetServices,
    GetCapabilities,
    GetProfiles(Media),
    GetStreamUri { media: Media, profile: String },
    GetEncoder { media: Media, encoder: String },
    GetEncoderOptions { media: Media, encoder: String, profile: String },
    SetEncoder { media: Media, encoder: Box<Encoder> },
}

/// Arguments of `SetSystemDateAndTime`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetClock {
    pub source: ClockSource,
    pub daylight_savings: bool,
    pub time_zone: Option<String>,
    /// Seconds since 1970; for [`ClockSource::Manual`].
    pub utc_unix_s: Option<i64>,
}

impl Operation {
    /// As ONVIF calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetSystemDateAndTime => "GetSystemDateAndTime",
            Self::SetSystemDateAndTime(_) => "SetSystemDateAndTime",
            Self::GetNtp => "GetNTP",
            Self::SetNtp(_) => "SetNTP",
            Self::GetDeviceInformation => "GetDeviceInformation",
            Self::GetServices => "GetServices",
            Self::GetCapabilities => "GetCapabilities",
            Self::GetProfiles(_) => "GetProfiles",
            Self::GetStreamUri { .. } => "GetStreamUri",
            Self::GetEncoder { media: Media::Media1, .. } => "GetVideoEncoderConfiguration",
            Self::GetEncoder { media: Media::Media2, .. } => "GetVideoEncoderConfigurations",
            Self::GetEncoderOptions { .. } => "GetVideoEncoderConfigurationOptions",
            Self::SetEncoder { .. } => "SetVideoEncoderConfiguration",
        }
    }

    /// Namespace of the service that has it.
    pub fn namespace(&self) -> &'static str {
        match self {
            Self::GetProfiles(media)
            | Self::GetStreamUri { media, .. }
            | Self::GetEncoder { media, .. }
            | Self::GetEncoderOptions { media, .. }
            | Self::SetEncoder { media, .. } => match media {
                Media::Media1 => MEDIA1,
                Media::Media2 => MEDIA2,
            },
            _ => DEVICE,
        }
    }

    /// SOAP action.
    pub fn action(&self) -> String {
        format!("{}/{}", self.namespace(), self.name())
    }

    /// The element in the envelope's body. `tt` is bound there.
    pub fn body(&self) -> String {
        let content = match self {
            Self::GetSystemDateAndTime | Self::GetNtp | Self::GetDeviceInformation => String::new(),
            Self::GetServices => element("IncludeCapability", "false"),
            Self::GetCapabilities => element("Category", "All"),
            Self::SetSystemDateAndTime(clock) => set_clock(clock),
            Self::SetNtp(ntp) => set_ntp(ntp),
            Self::GetProfiles(Media::Media1) => String::new(),
            // Without a type Media2 answers with names alone.
            Self::GetProfiles(Media::Media2) => element("Type", "All"),
            Self::GetStreamUri { media: Media::Media1, profile } => format!(
                "<StreamSetup><tt:Stream>RTP-Unicast</tt:Stream><tt:Transport><tt:Protocol>RTSP</tt:Protocol></tt:Transport>\
                 </StreamSetup>{}",
                element("ProfileToken", profile)
            ),
            Self::GetStreamUri { media: Media::Media2, profile } => {
                element("Protocol", "RTSP") + &element("ProfileToken", profile)
            }
            Self::GetEncoder { encoder, .. } => element("ConfigurationToken", encoder),
            Self::GetEncoderOptions { encoder, profile, .. } => {
                element("ConfigurationToken", encoder) + &element("ProfileToken", profile)
            }
            Self::SetEncoder { media: Media::Media1, encoder } => {
                format!("{}<ForcePersistence>true</ForcePersistence>", encoder1(encoder))
            }
            Self::SetEncoder { media: Media::Media2, encoder } => encoder2(encoder),
        };
        let (name, namespace) = (self.name(), self.namespace());
        format!("<{name} xmlns=\"{namespace}\" xmlns:tt=\"{SCHEMA}\">{content}</{name}>")
    }

    /// The whole envelope; `security` is its header, or empty.
    pub(crate) fn envelope(&self, security: &str) -> String {
        let header =
            if security.is_empty() { String::new() } else { format!("<s:Header>{security}</s:Header>") };
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{SOAP}\">{header}<s:Body>{}</s:Body></s:Envelope>",
            self.body()
        )
    }
}

/// `<name>text</name>` in the namespace of the operation, or with `tt:` in that of the types.
fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

fn set_clock(clock: &SetClock) -> String {
    let source = match clock.source {
        ClockSource::Manual => "Manual",
        ClockSource::Ntp => "NTP",
    };
    let mut content =
        element("DateTimeType", source) + &element("DaylightSavings", &clock.daylight_savings.to_string());
    if let Some(zone) = &clock.time_zone {
        let _ = write!(content, "<TimeZone><tt:TZ>{}</tt:TZ></TimeZone>", escape(zone));
    }
    if let Some(utc) = clock.utc_unix_s.and_then(|utc| OffsetDateTime::from_unix_timestamp(utc).ok()) {
        let _ = write!(
            content,
            "<UTCDateTime><tt:Time><tt:Hour>{}</tt:Hour><tt:Minute>{}</tt:Minute><tt:Second>{}</tt:Second></tt:Time>\
             <tt:Date><tt:Year>{}</tt:Year><tt:Month>{}</tt:Month><tt:Day>{}</tt:Day></tt:Date></UTCDateTime>",
            utc.hour(),
            utc.minute(),
            utc.second(),
            utc.year(),
            u8::from(utc.month()),
            utc.day()
        );
    }
    content
}

fn set_ntp(ntp: &Ntp) -> String {
    let mut content = element("FromDHCP", &ntp.from_dhcp.to_string());
    if ntp.from_dhcp {
        return content;
    }
    for server in &ntp.servers {
        let (kind, name, text) = match server {
            NtpServer::Address(IpAddr::V4(address)) => ("IPv4", "IPv4Address", address.to_string()),
            NtpServer::Address(IpAddr::V6(address)) => ("IPv6", "IPv6Address", address.to_string()),
            NtpServer::Name(name) => ("DNS", "DNSname", escape(name)),
        };
        let _ =
            write!(content, "<NTPManual><tt:Type>{kind}</tt:Type><tt:{name}>{text}</tt:{name}></NTPManual>");
    }
    content
}

/// Name, use count and the like, which both services have.
fn head(encoder: &Encoder) -> String {
    format!(
        "<tt:Name>{}</tt:Name><tt:UseCount>{}</tt:UseCount><tt:Encoding>{}</tt:Encoding>\
         <tt:Resolution><tt:Width>{}</tt:Width><tt:Height>{}</tt:Height></tt:Resolution>",
        escape(&encoder.name),
        encoder.use_count,
        escape(encoder.codec.name()),
        encoder.resolution.width,
        encoder.resolution.height
    )
}

fn encoder1(encoder: &Encoder) -> String {
    let mut content = head(encoder);
    let _ = write!(content, "<tt:Quality>{}</tt:Quality>", encoder.quality);
    if let Some(rate) = &encoder.rate {
        let _ = write!(
            content,
            "<tt:RateControl><tt:FrameRateLimit>{}</tt:FrameRateLimit><tt:EncodingInterval>{}</tt:EncodingInterval>\
             <tt:BitrateLimit>{}</tt:BitrateLimit></tt:RateControl>",
            rate.frame_rate.round() as u32,
            rate.encoding_interval,
            rate.bitrate_kbps
        );
    }
    if let (Codec::H264, Some(gop), Some(profile)) = (&encoder.codec, encoder.gop, &encoder.coding_profile) {
        let profile = escape(profile);
        let _ = write!(
            content,
            "<tt:H264><tt:GovLength>{gop}</tt:GovLength><tt:H264Profile>{profile}</tt:H264Profile></tt:H264>"
        );
    }
    // Media1 demands both; a camera that left them out gets what says nothing.
    let nowhere = Multicast { address: None, port: 0, ttl: 0, auto_start: false };
    content += &multicast(encoder.multicast.as_ref().unwrap_or(&nowhere));
    let timeout = escape(encoder.session_timeout.as_deref().unwrap_or("PT60S"));
    let _ = write!(content, "<tt:SessionTimeout>{timeout}</tt:SessionTimeout>");
    let guaranteed = attribute("GuaranteedFrameRate", encoder.guaranteed_frame_rate);
    format!("<Configuration token=\"{}\"{guaranteed}>{content}</Configuration>", escape(&encoder.token))
}

fn encoder2(encoder: &Encoder) -> String {
    let mut content = head(encoder);
    if let Some(rate) = &encoder.rate {
        let _ = write!(
            content,
            "<tt:RateControl{}><tt:FrameRateLimit>{}</tt:FrameRateLimit><tt:BitrateLimit>{}</tt:BitrateLimit></tt:RateControl>",
            attribute("ConstantBitRate", rate.constant_bit_rate),
            rate.frame_rate,
            rate.bitrate_kbps
        );
    }
    if let Some(wanted) = &encoder.multicast {
        content += &multicast(wanted);
    }
    let _ = write!(content, "<tt:Quality>{}</tt:Quality>", encoder.quality);
    let attributes = [
        attribute("GovLength", encoder.gop),
        attribute("AnchorFrameDistance", encoder.anchor_distance),
        attribute("Profile", encoder.coding_profile.as_deref()),
        attribute("GuaranteedFrameRate", encoder.guaranteed_frame_rate),
    ]
    .concat();
    format!("<Configuration token=\"{}\"{attributes}>{content}</Configuration>", escape(&encoder.token))
}

fn multicast(multicast: &Multicast) -> String {
    let address = match multicast.address {
        Some(IpAddr::V6(address)) => {
            format!("<tt:Type>IPv6</tt:Type><tt:IPv6Address>{address}</tt:IPv6Address>")
        }
        Some(IpAddr::V4(address)) => {
            format!("<tt:Type>IPv4</tt:Type><tt:IPv4Address>{address}</tt:IPv4Address>")
        }
        None => "<tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address>".to_owned(),
    };
    format!(
        "<tt:Multicast><tt:Address>{address}</tt:Address><tt:Port>{}</tt:Port><tt:TTL>{}</tt:TTL>\
         <tt:AutoStart>{}</tt:AutoStart></tt:Multicast>",
        multicast.port, multicast.ttl, multicast.auto_start
    )
}

/// ` name="value"`, or nothing.
fn attribute(name: &str, value: Option<impl ToString>) -> String {
    value.map(|value| format!(" {name}=\"{}\"", escape(&value.to_string()))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cameras_own_texts_are_escaped_when_they_go_back() {
        let operation = Operation::GetStreamUri { media: Media::Media2, profile: "<P&\"1\">".into() };
        assert_eq!(
            operation.body(),
            "<GetStreamUri xmlns=\"http://www.onvif.org/ver20/media/wsdl\" xmlns:tt=\"http://www.onvif.org/ver10/schema\">\
             <Protocol>RTSP</Protocol><ProfileToken>&lt;P&amp;&quot;1&quot;&gt;</ProfileToken></GetStreamUri>"
        );
    }

    #[test]
    fn the_time_is_sent_in_parts() {
        let clock = SetClock {
            source: ClockSource::Manual,
            daylight_savings: false,
            time_zone: Some("UTC0".into()),
            utc_unix_s: Some(1_284_623_445),
        };
        assert!(set_clock(&clock).ends_with(
            "<UTCDateTime><tt:Time><tt:Hour>7</tt:Hour><tt:Minute>50</tt:Minute><tt:Second>45</tt:Second></tt:Time>\
             <tt:Date><tt:Year>2010</tt:Year><tt:Month>9</tt:Month><tt:Day>16</tt:Day></tt:Date></UTCDateTime>"
        ));
    }
}
