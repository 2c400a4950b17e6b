package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// The plot's size and margins, in pixels.
const (
	plotWidth, plotHeight           = 860, 460
	plotLeft, plotRight             = 60, 240
	plotTop, plotBottom             = 30, 50
	plotInnerWidth, plotInnerHeight = plotWidth - plotLeft - plotRight, plotHeight - plotTop - plotBottom
	plotGoal                        = 1.5 // no operation should take longer than this many times
)

// plotColours are of the colour-blind safe palette of Okabe and Ito, each twice: with a
// whole and with a dashed line.
var plotColours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"}

// plottedOperations are all but the start, which reads every identity.
func plottedOperations() []string {
	return slices.DeleteFunc(scaleOperations(), func(name string) bool { return name == startName })
}

// plotScale returns an SVG image: how many times longer each operation takes than on a
// nearly empty server, over the number of tags.
func plotScale(stages []stage) string {
	top := plotGoal * 1.2
	for _, s := range stages {
		for _, name := range plottedOperations() {
			top = max(top, s.probes[name].ratio.median*1.05)
		}
	}
	x := func(i int) float64 { return plotLeft + float64(i)*plotInnerWidth/float64(len(stages)-1) }
	y := func(ratio float64) float64 { return plotTop + plotInnerHeight*(1-ratio/top) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", plotWidth, plotHeight)
	for ratio := 0.0; ratio <= top; ratio += math.Ceil(top/5*2) / 2 {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%.1f ×</text>`+"\n", plotLeft, y(ratio), plotLeft+plotInnerWidth, plotLeft-6, y(ratio)+4, ratio)
	}
	fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#000" stroke-dasharray="2 4"/>`+"\n", plotLeft, y(plotGoal), plotLeft+plotInnerWidth)
	for i, s := range stages {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle">%s tags</text>`+"\n", x(i), plotHeight-plotBottom+20, thousands(float64(s.stored.repositories*tagsEach)))
	}
	for n, name := range plottedOperations() {
		colour, dash := plotColours[n%len(plotColours)], ""
		if n >= len(plotColours) {
			dash = ` stroke-dasharray="6 3"`
		}
		var points []string
		for i, s := range stages {
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(i), y(s.probes[name].ratio.median)))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"%s/>`+"\n", strings.Join(points, " "), colour, dash)
		legend := plotTop + 20*n
		fmt.Fprintf(&b, `<path d="M%d %dh24" stroke="%s" stroke-width="2"%s/><text x="%d" y="%d">%s</text>`+"\n", plotWidth-plotRight+20, legend, colour, dash, plotWidth-plotRight+50, legend+4, html.EscapeString(name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}
