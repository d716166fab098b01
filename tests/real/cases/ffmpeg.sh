# shellcheck shell=bash disable=SC2034,SC2317
# ffmpeg: generated pictures and sound through encoders, filters and decoders on two threads; the frames must be identical.
NEEDS=ffmpeg
PACKAGES=ffmpeg
EXPECT=ffmpeg
LIMIT=120

quietly() {
    ffmpeg -nostdin -hide_banner -loglevel error -threads 2 "$@"
}

body() {
    local seconds
    seconds=$(amount 1 8)
    quietly -f lavfi -i "testsrc2=size=640x360:rate=25:duration=$seconds" -f lavfi -i "sine=frequency=440:duration=$seconds" \
        -c:v mpeg4 -b:v 2M -c:a pcm_s16le -flags +bitexact -fflags +bitexact a.mkv
    quietly -i a.mkv -vf 'scale=320:180,hue=s=0,rotate=0.2,unsharp' -c:v libx264 -threads 2 -x264-params threads=2:deterministic=1 \
        -c:a flac -flags +bitexact -fflags +bitexact b.mkv
    quietly -i a.mkv -map 0 -f framemd5 - | sha256sum
    quietly -i b.mkv -map 0 -f framemd5 - | sha256sum
}
