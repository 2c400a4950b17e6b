package main

import "testing"

func TestCollectorPercent(t *testing.T) {
	for _, c := range []struct {
		inUse uint64
		want  int
	}{
		{0, 1600}, // before the first collection
		{8 << 20, 800},
		{64 << 20, 100},
		{1 << 40, 100},
	} {
		if got := collectorPercent(c.inUse); got != c.want {
			t.Errorf("collectorPercent(%d) = %d, want %d", c.inUse, got, c.want)
		}
	}
}
