package app_test

import (
	"os"
	"testing"
)

// The SDK reads the certificates of a CA bundle in the environment for each configuration,
// though the servers of the tests need none. With the race detector this took more than a
// quarter of the CPU of the package's tests.
func TestMain(m *testing.M) {
	if err := os.Unsetenv("AWS_CA_BUNDLE"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}
