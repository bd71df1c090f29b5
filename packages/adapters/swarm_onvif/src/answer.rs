//! What a camera answers: bytes into values. No I/O.
//!
//! Read liberally (elements by local name, missing parts left out, numbers that are none ignored), but never without bounds,
//! and never another operation's answer.

use std::net::IpAddr;

use roxmltree::Node;
use time::{Date, Month, PrimitiveDateTime, Time};

use crate::error::{Excerpt, Failure, Fault};
use crate::model::{
    CameraClock, ClockSource, Codec, DeviceInformation, Encoder, EncoderOptions, FrameRates, Media,
    Multicast, Ntp, NtpServer, Profile, RateControl, Resolution, Service, Services,
};
use crate::operation::{DEVICE, MEDIA1, MEDIA2, Operation};
use crate::xml::{Find, attribute, clean, document, text};

/// Most items of one kind that are taken from an answer.
const MAX_ITEMS: usize = 512;

/// Lets `read` take a value out of the answer to `operation`. A fault is its own error, also when the status is 200.
pub(crate) fn open<T>(
    operation: &'static str,
    status: u16,
    body: &[u8],
    read: impl FnOnce(Node<'_, '_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let text = String::from_utf8_lossy(body);
    let wrong = |status: u16, otherwise: Failure| match status {
        200..300 => otherwise,
        status => Failure::Status { status, body: Excerpt::of(body) },
    };
    let excerpt = Excerpt::of(body);
    if body.is_empty() || excerpt.0.starts_with("an HTML page") {
        return Err(wrong(status, Failure::NotSoap { body: excerpt }));
    }
    let document = match document(&text) {
        Ok(document) => document,
        Err(problem) => return Err(wrong(status, Failure::NotXml { problem, body: excerpt })),
    };
    let root = document.root_element();
    let ("Envelope", Some(content)) = (root.tag_name().name(), root.child("Body")) else {
        return Err(wrong(status, Failure::NotSoap { body: excerpt }));
    };
    if let Some(fault) = content.child("Fault") {
        return Err(Failure::Fault(read_fault(fault)));
    }
    let found = content.children().find(Node::is_element);
    match found {
        Some(answer) if is_answer(answer.tag_name().name(), operation) => read(answer),
        _ => {
            let found =
                found.map_or_else(|| "an empty body".to_owned(), |node| clean(node.tag_name().name()));
            Err(wrong(status, Failure::OtherAnswer { expected: format!("{operation}Response"), found }))
        }
    }
}

fn is_answer(name: &str, operation: &str) -> bool {
    name.strip_suffix("Response") == Some(operation)
}

/// The fault in an answer, if it is one.
pub(crate) fn fault(body: &[u8]) -> Option<Fault> {
    let text = String::from_utf8_lossy(body);
    let document = document(&text).ok()?;
    document.root_element().at(&["Body", "Fault"]).map(read_fault)
}

/// SOAP 1.2, and 1.1 as some old cameras write it.
fn read_fault(fault: Node<'_, '_>) -> Fault {
    let local = |code: String| code.rsplit(':').next().unwrap_or_default().to_owned();
    let mut codes = Vec::new();
    let mut code = fault.child("Code");
    while let Some(node) = code.filter(|_| codes.len() < 4) {
        codes.extend(node.value("Value").map(local));
        code = node.child("Subcode");
    }
    if codes.is_empty() {
        codes.extend(fault.value("faultcode").map(local));
    }
    let reason = fault.at(&["Reason", "Text"]).and_then(text).or_else(|| fault.value("faultstring"));
    Fault { code: codes.join("/"), reason: reason.unwrap_or_default() }
}

pub(crate) fn clock(answer: Node<'_, '_>) -> Result<CameraClock, Failure> {
    let clock = answer.child("SystemDateAndTime").ok_or(Failure::Missing("SystemDateAndTime"))?;
    let source = match clock.value("DateTimeType").as_deref() {
        Some("NTP") => ClockSource::Ntp,
        _ => ClockSource::Manual,
    };
    Ok(CameraClock {
        source,
        daylight_savings: clock.value("DaylightSavings").is_some_and(|text| is_true(&text)),
        time_zone: clock.at(&["TimeZone", "TZ"]).and_then(text),
        utc_unix_s: clock.child("UTCDateTime").and_then(moment),
        ahead_s: None,
    })
}

fn moment(node: Node<'_, '_>) -> Option<i64> {
    let (date, time) = (node.child("Date")?, node.child("Time")?);
    let month = Month::try_from(date.number::<u8>("Month")?).ok()?;
    let date = Date::from_calendar_date(date.number("Year")?, month, date.number("Day")?).ok()?;
    // A leap second is told as 60.
    let second = time.number::<u8>("Second").unwrap_or(0).min(59);
    let time = Time::from_hms(time.number("Hour")?, time.number("Minute")?, second).ok()?;
    Some(PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp())
}

pub(crate) fn ntp(answer: Node<'_, '_>) -> Result<Ntp, Failure> {
    let information = answer.child("NTPInformation").ok_or(Failure::Missing("NTPInformation"))?;
    let from_dhcp = information.value("FromDHCP").is_some_and(|text| is_true(&text));
    let name = if from_dhcp { "NTPFromDHCP" } else { "NTPManual" };
    let server = |node: Node<'_, '_>| {
        let address = node
            .value("IPv4Address")
            .or_else(|| node.value("IPv6Address"))
            .or_else(|| node.value("DNSname"))?;
        Some(NtpServer::new(&address))
    };
    Ok(Ntp { from_dhcp, servers: information.all(name).filter_map(server).take(MAX_ITEMS).collect() })
}

pub(crate) fn device_information(answer: Node<'_, '_>) -> DeviceInformation {
    let value = |name| answer.value(name).unwrap_or_default();
    DeviceInformation {
        manufacturer: value("Manufacturer"),
        model: value("Model"),
        firmware: value("FirmwareVersion"),
        serial_number: value("SerialNumber"),
        hardware: value("HardwareId"),
    }
}

pub(crate) fn services(answer: Node<'_, '_>) -> Result<Services, Failure> {
    let service = |node: Node<'_, '_>| {
        Some(Service { namespace: node.value("Namespace")?, address: node.value("XAddr")? })
    };
    let listed: Vec<Service> = answer.all("Service").filter_map(service).take(MAX_ITEMS).collect();
    if listed.is_empty() { Err(Failure::Missing("Service")) } else { Ok(Services { listed }) }
}

/// `GetCapabilities` knows neither namespaces nor Media2, except in an extension that few cameras fill.
pub(crate) fn capabilities(answer: Node<'_, '_>) -> Result<Services, Failure> {
    let capabilities = answer.child("Capabilities").ok_or(Failure::Missing("Capabilities"))?;
    let service = |namespace: &str, names: &[&'static str]| {
        let address = capabilities.at(names)?.value("XAddr")?;
        Some(Service { namespace: namespace.to_owned(), address })
    };
    let listed = [
        service(DEVICE, &["Device"]),
        service(MEDIA1, &["Media"]),
        service(MEDIA2, &["Extension", "Media2"]),
        service("http://www.onvif.org/ver10/events/wsdl", &["Events"]),
        service("http://www.onvif.org/ver20/imaging/wsdl", &["Imaging"]),
        service("http://www.onvif.org/ver20/ptz/wsdl", &["PTZ"]),
        service("http://www.onvif.org/ver20/analytics/wsdl", &["Analytics"]),
    ];
    Ok(Services { listed: listed.into_iter().flatten().collect() })
}

pub(crate) fn profiles(answer: Node<'_, '_>, media: Media) -> Vec<Profile> {
    let profile = |node: Node<'_, '_>| {
        let token = attribute(node, "token").filter(|token| !token.is_empty())?;
        let encoder = match media {
            Media::Media1 => node.child("VideoEncoderConfiguration"),
            Media::Media2 => node.at(&["Configurations", "VideoEncoder"]),
        };
        let name = node.value("Name").unwrap_or_else(|| token.clone());
        Some(Profile { media, token, name, encoder: encoder.and_then(|node| read_encoder(node, media)) })
    };
    answer.all("Profiles").filter_map(profile).take(MAX_ITEMS).collect()
}

/// The URI without user and password, should the camera have written them into it.
pub(crate) fn stream_uri(answer: Node<'_, '_>) -> Result<String, Failure> {
    let uri = answer.at(&["MediaUri", "Uri"]).and_then(text).or_else(|| answer.value("Uri"));
    let uri = uri.filter(|uri| uri.contains("://")).ok_or(Failure::Missing("Uri"))?;
    Ok(without_credentials(&uri))
}

fn without_credentials(uri: &str) -> String {
    let Some((scheme, rest)) = uri.split_once("://") else { return uri.to_owned() };
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let cut = match authority.rsplit_once('@') {
        Some((credentials, _)) => credentials.len() + 1,
        // A password with a slash in it, which no standard allows, ends the authority too early.
        None if !authority.starts_with('[')
            && authority.split_once(':').is_some_and(|(_, port)| !is_port(port)) =>
        {
            rest.rfind('@').map_or(0, |at| at + 1)
        }
        None => 0,
    };
    format!("{scheme}://{}", &rest[cut..])
}

pub(crate) fn encoder(answer: Node<'_, '_>, media: Media, token: &str) -> Result<Encoder, Failure> {
    // Media2 may answer with all of them; ipycam answers Media2 in the words of Media1.
    let mut found = answer
        .all("Configurations")
        .chain(answer.all("Configuration"))
        .filter_map(|node| read_encoder(node, media));
    found.find(|encoder| encoder.token == token).ok_or(Failure::Missing("video encoder configuration"))
}

fn read_encoder(node: Node<'_, '_>, media: Media) -> Option<Encoder> {
    let codec = Codec::from_onvif(&node.value("Encoding")?);
    let resolution = read_resolution(node.child("Resolution")?)?;
    let attribute_number = |name| attribute(node, name)?.trim().parse().ok();
    let h264 = node.child("H264").filter(|_| codec == Codec::H264);
    let (gop, coding_profile) = match media {
        Media::Media1 => {
            (h264.and_then(|node| node.number("GovLength")), h264.and_then(|node| node.value("H264Profile")))
        }
        Media::Media2 => (attribute_number("GovLength"), attribute(node, "Profile")),
    };
    let rate = node.child("RateControl").and_then(|rate| {
        Some(RateControl {
            frame_rate: rate.number::<f32>("FrameRateLimit").filter(|rate| rate.is_finite())?,
            bitrate_kbps: rate.number("BitrateLimit").unwrap_or(0),
            encoding_interval: rate.number("EncodingInterval").unwrap_or(1),
            constant_bit_rate: attribute(rate, "ConstantBitRate").map(|text| is_true(&text)),
        })
    });
    let multicast = node.child("Multicast").map(|multicast| {
        let address = multicast.child("Address");
        let address =
            address.and_then(|node| node.value("IPv4Address").or_else(|| node.value("IPv6Address")));
        Multicast {
            address: address.and_then(|address| address.parse::<IpAddr>().ok()),
            port: multicast.number("Port").unwrap_or(0),
            ttl: multicast.number("TTL").unwrap_or(0),
            auto_start: multicast.value("AutoStart").is_some_and(|text| is_true(&text)),
        }
    });
    Some(Encoder {
        token: attribute(node, "token").filter(|token| !token.is_empty())?,
        name: node.value("Name").unwrap_or_default(),
        use_count: node.number("UseCount").unwrap_or(1),
        codec,
        resolution,
        quality: node.number::<f32>("Quality").filter(|quality| quality.is_finite()).unwrap_or(1.0),
        rate,
        gop,
        coding_profile,
        anchor_distance: attribute_number("AnchorFrameDistance"),
        guaranteed_frame_rate: attribute(node, "GuaranteedFrameRate").map(|text| is_true(&text)),
        multicast,
        session_timeout: node.value("SessionTimeout"),
    })
}

pub(crate) fn encoder_options(answer: Node<'_, '_>, media: Media) -> Vec<EncoderOptions> {
    match media {
        Media::Media1 => answer.child("Options").map(options1).unwrap_or_default(),
        Media::Media2 => answer.all("Options").filter_map(options2).take(MAX_ITEMS).collect(),
    }
}

fn options1(options: Node<'_, '_>) -> Vec<EncoderOptions> {
    let read = |codec, name: &'static str| {
        let node = options.child(name)?;
        // The extension repeats the options of a codec, with the bit rates added.
        let bitrate = options.child("Extension").and_then(|extension| extension.child(name));
        let rates = node.child("FrameRateRange").and_then(range::<f32>);
        Some(EncoderOptions {
            codec,
            resolutions: resolutions(node),
            frame_rates: rates.map_or(FrameRates::Unknown, |(low, high)| FrameRates::Range(low, high)),
            gop: node.child("GovLengthRange").and_then(range),
            bitrate_kbps: bitrate.and_then(|node| node.child("BitrateRange")).and_then(range),
            coding_profiles: node.all("H264ProfilesSupported").filter_map(text).take(MAX_ITEMS).collect(),
            max_anchor_distance: None,
        })
    };
    [read(Codec::H264, "H264"), read(Codec::Jpeg, "JPEG")].into_iter().flatten().collect()
}

fn options2(options: Node<'_, '_>) -> Option<EncoderOptions> {
    let list = |name| attribute(options, name).unwrap_or_default();
    let rates: Vec<f32> = list("FrameRatesSupported")
        .split_whitespace()
        .filter_map(|rate| rate.parse().ok())
        .filter(|rate: &f32| *rate > 0.0)
        .collect();
    let gop: Vec<u32> =
        list("GovLengthRange").split_whitespace().filter_map(|length| length.parse().ok()).collect();
    Some(EncoderOptions {
        codec: Codec::from_onvif(&options.value("Encoding")?),
        resolutions: resolutions(options),
        frame_rates: if rates.is_empty() { FrameRates::Unknown } else { FrameRates::List(rates) },
        gop: gop.first().copied().zip(gop.last().copied()).filter(|(low, high)| low <= high),
        bitrate_kbps: options.child("BitrateRange").and_then(range),
        coding_profiles: list("ProfilesSupported").split_whitespace().map(str::to_owned).collect(),
        max_anchor_distance: attribute(options, "MaxAnchorFrameDistance").and_then(|text| text.parse().ok()),
    })
}

fn resolutions(node: Node<'_, '_>) -> Vec<Resolution> {
    node.all("ResolutionsAvailable").filter_map(read_resolution).take(MAX_ITEMS).collect()
}

fn read_resolution(node: Node<'_, '_>) -> Option<Resolution> {
    Some(Resolution { width: node.number("Width")?, height: node.number("Height")? })
}

fn range<T: std::str::FromStr + PartialOrd>(node: Node<'_, '_>) -> Option<(T, T)> {
    let (low, high) = (node.number("Min")?, node.number("Max")?);
    (low <= high).then_some((low, high))
}

fn is_true(text: &str) -> bool {
    matches!(text.trim(), "true" | "1")
}

/// Every reader on the same bytes, as if each had asked; for fuzzing.
#[doc(hidden)]
pub fn read_as_everything(body: &[u8]) {
    let _ = fault(body);
    let Ok(text) = std::str::from_utf8(body) else { return };
    let Ok(document) = document(text) else { return };
    for node in document.descendants().filter(Node::is_element).take(64) {
        let _ = (clock(node), ntp(node), device_information(node), services(node), capabilities(node));
        for media in [Media::Media1, Media::Media2] {
            for encoder in profiles(node, media).into_iter().filter_map(|profile| profile.encoder) {
                let written = Operation::SetEncoder { media, encoder: Box::new(encoder) }.body();
                crate::xml::document(&written).expect("what is read can be written as XML");
            }
            let _ = (encoder(node, media, ""), encoder_options(node, media));
        }
        if let Ok(uri) = stream_uri(node) {
            let authority =
                uri.split_once("://").map(|(_, rest)| rest.split(['/', '?']).next().unwrap_or_default());
            assert!(!authority.is_some_and(|authority| authority.contains('@')), "{uri} carries credentials");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_no_user_and_password_in_its_uri() {
        for (given, expected) in [
            ("rtsp://10.0.0.1:554/live?x=a@b", "rtsp://10.0.0.1:554/live?x=a@b"),
            ("rtsp://admin:pw@10.0.0.1:554/live", "rtsp://10.0.0.1:554/live"),
            ("rtsp://admin:p@w@10.0.0.1/live", "rtsp://10.0.0.1/live"),
            ("rtsp://admin:p/w@10.0.0.1/live", "rtsp://10.0.0.1/live"),
            ("rtsp://[fe80::1]:554/live@1", "rtsp://[fe80::1]:554/live@1"),
        ] {
            assert_eq!(without_credentials(given), expected);
        }
    }
}
