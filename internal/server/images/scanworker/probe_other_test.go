//go:build !linux

package scanworker_test

const probeCommand = "__probe"

func probe(_, _ string) {}
