"""Codes a stream anew so that B-frames are allowed and none is used: its order count is of type 0 then, as many cameras have it."""

import sys
from fractions import Fraction

import av
from av.video.frame import PictureType

source, target = sys.argv[1:]
with av.open(source, format="h264") as stream, av.open(target, "w", format="h264") as output:
    video = output.add_stream("libx264", rate=30)
    video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
    video.options = {
        "preset": "veryfast", "crf": "34", "g": "30", "bf": "1", "profile": "main", "forced-idr": "1",
        "x264-params": "scenecut=0:repeat-headers=1:b-adapt=0",
    }
    for number, frame in enumerate(stream.decode(video=0)):
        frame.pts = number
        frame.time_base = Fraction(1, 30)
        frame.pict_type = PictureType.I if number % 30 == 0 else PictureType.P
        output.mux(video.encode(frame))
    output.mux(video.encode())
