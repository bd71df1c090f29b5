//! The line of elements from pictures to RTP packets.

use crate::Stream;

/// Name of the element that pictures are pushed into.
pub(crate) const SOURCE: &str = "pictures";

/// What the line is made of, with the Debian package that brings it.
pub(crate) const ELEMENTS: [(&str, &str); 6] = [
    ("appsrc", "gstreamer1.0-plugins-base"),
    ("videoconvert", "gstreamer1.0-plugins-base"),
    ("x264enc", "gstreamer1.0-plugins-ugly"),
    ("h264parse", "gstreamer1.0-plugins-bad"),
    ("rtph264pay", "gstreamer1.0-plugins-good"),
    ("rtpbin", "gstreamer1.0-plugins-good"),
];

/// Bits a pixel of a frame: drawn edges stay sharp, and 640x480 at 15 Hz takes 0.9 Mbit/s.
const BITS_PER_PIXEL: f64 = 0.2;

/// As `gst-launch-1.0` takes it. zerolatency has no B-frames and holds none back; one thread makes one slice of a frame.
/// Parameter sets go before each key frame, so that a viewer can begin at any of them.
pub(crate) fn line(stream: &Stream) -> String {
    let Stream { width, height, rate_hz, .. } = stream;
    let pixels_per_s = f64::from(width * height) * f64::from(*rate_hz);
    let kbit_per_s = (pixels_per_s * BITS_PER_PIXEL / 1000.0).max(100.0) as u32;
    format!(
        "( appsrc name={SOURCE} is-live=true format=time block=false max-bytes=0 caps=\"video/x-raw,format=RGB,width={width},height={height},framerate={rate_hz}/1\" \
         ! videoconvert n-threads=1 ! video/x-raw,format=I420 \
         ! x264enc tune=zerolatency speed-preset=superfast threads=1 bframes=0 key-int-max={rate_hz} bitrate={kbit_per_s} \
         ! video/x-h264,profile=constrained-baseline ! h264parse \
         ! rtph264pay name=pay0 pt=96 config-interval=-1 )"
    )
}
