"""RTSP cameras by gst-rtsp-server, as `rtsp.rs` asks for them in one JSON argument. Ends when its standard input does.

Prints `ready PORT` once it takes connections. Truth is one line per frame: stream, RTP time stamp, moment of capture in
nanoseconds of the host's clock. The wall clock may be a fake one here, CLOCK_MONOTONIC never is: the moment is taken from
that, and `host_minus_monotonic_ns` turns it into the host's.
"""

import json
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402


def watch(media, index, truth, offset):
    """Writes a line of truth for every frame, when the next one comes: the first has gone before the clock is set."""
    pay = media.get_element().get_by_name("pay0")
    pad = pay.get_static_pad("src")
    before = None

    def probe(_pad, info):
        nonlocal before
        packet = info.get_buffer_list().get(0) if info.type & Gst.PadProbeType.BUFFER_LIST else info.get_buffer()
        rtp = int.from_bytes(packet.extract_dup(4, 4), "big")
        if before and before[0] == rtp:
            return Gst.PadProbeReturn.OK
        if before:
            truth.write(f"{index} {before[0]} {pay.get_base_time() + before[1] + offset}\n")
        # Encoders count from 1000 h; the segment tells.
        segment = pad.get_sticky_event(Gst.EventType.SEGMENT, 0).parse_segment()
        before = (rtp, segment.to_running_time(Gst.Format.TIME, packet.pts))
        return Gst.PadProbeReturn.OK

    pad.add_probe(Gst.PadProbeType.BUFFER | Gst.PadProbeType.BUFFER_LIST, probe)


def refuse_seeking(media):
    """A camera cannot go back. The test picture can, and would for every second client, who asks to play from 0."""

    def probe(_pad, info):
        asked = info.get_query()
        return Gst.PadProbeReturn.DROP if asked.type == Gst.QueryType.SEEKING else Gst.PadProbeReturn.OK

    pad = media.get_element().get_by_name("pay0").get_static_pad("src")
    pad.add_probe(Gst.PadProbeType.QUERY_UPSTREAM, probe)


def frames_of(path, start):
    """The coded frames of a file, each of which begins with `start`."""
    with open(path, "rb") as file:
        parts = file.read().split(start)
    if parts[0] or len(parts) < 2:
        sys.exit(f"{path} does not begin with a frame as it is written by `encode`")
    return [start + part for part in parts[1:]]


def feed(media, frames, fps):
    """Gives the media one frame after the other, without end; `identity sync=true` behind it keeps the time."""
    source = media.get_element().get_by_name("frames")
    number = 0

    def need(_source, _bytes):
        nonlocal number
        frame = Gst.Buffer.new_wrapped(frames[number % len(frames)])
        frame.pts = frame.dts = number * Gst.SECOND // fps
        number += 1
        source.emit("push-buffer", frame)

    source.connect("need-data", need)


def main():
    wish = json.loads(sys.argv[1])
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address(wish["address"])
    server.set_service(str(wish["port"]))
    server.set_backlog(256)  # every camera has a recorder that connects at once
    truth = open(wish["truth"], "a", buffering=1) if wish["truth"] else None

    role = None
    if wish["user"]:
        role = "viewer"
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", role)
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(wish["user"], wish["password"], token)
        server.set_auth(auth)

    for index, stream in enumerate(wish["streams"]):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(stream["launch"])
        factory.set_shared(True)
        factory.set_enable_rtcp(wish["sender_reports"])
        if role:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role(role, "media.factory.access", True)
            permissions.add_permission_for_role(role, "media.factory.construct", True)
            factory.set_permissions(permissions)
        frames = frames_of(stream["file"], bytes(stream["frame_start"])) if stream["file"] else None

        def configure(_factory, media, index=index, frames=frames, fps=stream["fps"]):
            refuse_seeking(media)
            if frames:
                feed(media, frames, fps)
            if truth:
                watch(media, index, truth, wish["host_minus_monotonic_ns"])

        factory.connect("media-configure", configure)
        server.get_mount_points().add_factory(stream["path"], factory)

    loop = GLib.MainLoop()
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on {wish['address']} port {wish['port']}")
    GLib.io_add_watch(sys.stdin.fileno(), GLib.IO_HUP | GLib.IO_ERR, lambda *_: loop.quit())
    print(f"ready {server.get_bound_port()}", flush=True)
    loop.run()


main()
