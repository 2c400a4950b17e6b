package main

import (
	"crypto/x509"
	"os"
	"runtime"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// systemRoots are where crypto/x509 looks for authorities on Linux.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem", "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "/etc/ssl/cert.pem",
}

// useFallbackRoots makes Go trust the authorities of Mozilla's list on a machine that has
// none of its own, such as a container image with nothing but this program. Parsing the
// list takes 8 ms, so importing golang.org/x/crypto/x509roots/fallback, which always does
// it, would make each credential helper slower.
func useFallbackRoots() {
	if runtime.GOOS != "linux" {
		return
	}
	for _, file := range systemRoots {
		if _, err := os.Stat(file); err == nil {
			return
		}
	}
	pool := x509.NewCertPool()
	for root := range bundle.Roots() {
		c, err := x509.ParseCertificate(root.Certificate)
		switch {
		case err != nil: // as with a file of the system: the others count
		case root.Constraint == nil:
			pool.AddCert(c)
		default:
			pool.AddCertWithConstraint(c, root.Constraint)
		}
	}
	x509.SetFallbackRoots(pool)
}
