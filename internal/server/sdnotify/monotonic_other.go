//go:build !linux

package sdnotify

// monotonicMicroseconds has no value: systemd runs on Linux only.
func monotonicMicroseconds() (int64, bool) { return 0, false }
