package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestStages(t *testing.T) {
	var tags []int
	for _, part := range stages(1) {
		tags = append(tags, wholeInstallation().share(part).repositories*tagsEach)
	}
	if len(tags) != 4 || tags[0] != 2_000 || tags[1] != 10_000 || tags[2] != 100_000 || tags[3] != 1_000_000 {
		t.Errorf("tags = %v", tags)
	}
}

func TestPlotScale_Wellformed(t *testing.T) {
	probes := func(ratio float64) map[string]probe {
		p := map[string]probe{}
		for _, name := range scaleOperations() {
			p[name] = probe{ratio: distributionOf([]float64{ratio})}
		}
		return p
	}
	image := plotScale([]stage{
		{stored: installation{1, 1, 1}, probes: probes(1)},
		{stored: installation{100, 1, 1}, probes: probes(9)},
	})
	for d := xml.NewDecoder(strings.NewReader(image)); ; {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if strings.Count(image, "<polyline") != len(plottedOperations()) || !strings.Contains(image, "10,000 tags") {
		t.Errorf("the plot lacks lines or labels:\n%s", image)
	}
	if strings.Contains(image, "NaN") || strings.Contains(image, "Inf") {
		t.Error("the plot has points that are not numbers")
	}
}
