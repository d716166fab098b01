# shellcheck shell=bash disable=SC2034,SC2317
# ImageMagick: drawing, resizing, blurring, several formats; the pixels must be identical.
NEEDS=convert
PACKAGES=imagemagick
EXPECT='convert*'
LIMIT=120

body() {
    local size
    size=$(amount 400x300 1600x1200)
    convert -seed 42 -size "$size" plasma:red-blue a.png
    convert a.png -resize 70% -blur 0x3 -rotate 33 -sharpen 0x1 b.png
    convert a.png -colors 64 -quality 90 c.jpg
    convert -size "$size" gradient:green-yellow -swirl 120 -wave 10x80 -fill white -draw 'circle 100,100 150,150 line 0,0 300,200' d.tiff
    convert b.png c.jpg d.tiff -resize 200x200 -delay 10 e.gif
    convert a.png d.tiff -compose multiply -composite -colorspace Lab -equalize f.miff
    convert a.png b.png c.jpg d.tiff e.gif f.miff -format '%m %w %h %#\n' info:
}
