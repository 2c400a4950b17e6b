package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// selfSigned writes a certificate for 127.0.0.1 and its key into dir.
func selfSigned(t *testing.T, dir string) (certificate, key string, pool *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	certificate, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for path, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool = x509.NewCertPool()
	pool.AddCert(parsed)
	return certificate, key, pool
}

func TestStart_TLSFiles(t *testing.T) {
	certificate, key, pool := selfSigned(t, t.TempDir())
	c := config.Default()
	c.Data, c.Listen, c.Log.Level = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0", "error"
	c.TLS = &config.TLS{Certificate: certificate, Key: key}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := app.Start(ctx, c)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	res, err := client.Get(s.URL() + "/healthz")
	if err != nil {
		t.Error(err)
	} else {
		res.Body.Close()
		if res.StatusCode != http.StatusOK || res.TLS == nil {
			t.Errorf("%d, TLS %v", res.StatusCode, res.TLS != nil)
		}
	}
	client.CloseIdleConnections()
	cancel()
	if err := s.Wait(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(c.Data, "tls")); !os.IsNotExist(err) {
		t.Errorf("an authority was made all the same: %v", err)
	}
}

func TestStart_MissingTLSFile(t *testing.T) {
	c := config.Default()
	c.Data, c.Listen = filepath.Join(t.TempDir(), "data"), "127.0.0.1:0"
	c.TLS = &config.TLS{Certificate: "/nowhere/cert.pem", Key: "/nowhere/key.pem"}
	if s, err := app.Start(t.Context(), c); err == nil {
		t.Errorf("started at %s without a certificate", s.URL())
	}
}
