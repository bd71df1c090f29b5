#!/bin/sh
# Makes the streams of this folder, with ffmpeg 5.1, x264 r3095 and PyAV. Frame k says its number in its upper 16 lines: block i (16 pixels
# wide, from the left) is white where bit i of k is set. Below that something moves.
set -eu
cd "$(dirname "$0")"
number='geq=lum=if(lt(Y\,16)\,if(bitand(N\,pow(2\,floor(X/16)))\,235\,16)\,mod(X*2+Y*3+N*4\,180)+30):cb=128+40*sin(N/9+X/40):cr=128'
encode() { # name, size, frames, options of x264, others
    name=$1 size=$2 frames=$3 x264=$4
    shift 4
    ffmpeg -v error -y -f lavfi -i "color=s=$size:r=30:d=10,format=yuv420p,$number" -frames:v "$frames" -c:v libx264 \
        -preset veryfast -crf 34 -g 30 "$@" -x264-params "scenecut=0:repeat-headers=1:$x264" -bsf:v filter_units=remove_types=6 "$name.h264"
}
# CABAC and weighted prediction, order count of type 2; CAVLC in three slices; order count of type 0 without a B-frame.
encode high 128x96 90 aud=1 -profile:v high -bf 0
encode baseline 128x96 90 slices=3 -profile:v baseline
python3 order0.py high.h264 order0.h264
# What is refused.
encode bframes 128x96 30 b-adapt=0 -profile:v high -bf 2
encode small 64x48 30 aud=0 -profile:v high -bf 0
