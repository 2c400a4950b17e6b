package app

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"strings"
	"sync"
	"time"
)

// How long certificates are valid. A leaf is replaced after half of its time.
// Browsers and TLS libraries accept both validities.
const (
	authorityValidity = 10 * 365 * 24 * time.Hour
	leafValidity      = 90 * 24 * time.Hour
	maxLeaves         = 1024
)

// An authority is a local certificate authority, for machines that trust its
// ca.pem. It issues a certificate for a host when a client first asks for it,
// because no wildcard covers all AWS-shaped hosts.
type authority struct {
	cert   *x509.Certificate
	key    *ecdsa.PrivateKey
	serves func(host string) bool
	now    func() time.Time

	mu     sync.Mutex
	leaves map[string]*tls.Certificate
}

// openAuthority reads tls/ca.pem and tls/ca.key, or creates them.
func openAuthority(data *dataDir, serves func(host string) bool, now func() time.Time) (*authority, error) {
	a := &authority{serves: serves, now: now, leaves: map[string]*tls.Certificate{}}
	certPEM, err := data.root.ReadFile("tls/ca.pem")
	if errors.Is(err, fs.ErrNotExist) {
		return a, a.create(data)
	}
	if err != nil {
		return nil, fmt.Errorf("local authority: %w", err)
	}
	keyPEM, err := data.root.ReadFile("tls/ca.key")
	if err != nil {
		return nil, fmt.Errorf("local authority: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("local authority in %s: %w", data.file("tls"), err)
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("local authority: %s is not an ECDSA key", data.file("tls/ca.key"))
	}
	a.cert, a.key = pair.Leaf, key
	return a, nil
}

func (a *authority) create(data *dataDir) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber:          serial(),
		Subject:               pkix.Name{CommonName: "Gatehouse local authority"},
		NotBefore:             a.now().Add(-time.Hour),
		NotAfter:              a.now().Add(authorityValidity),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return err
	}
	a.key = key
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := data.root.MkdirAll("tls", 0o700); err != nil {
		return fmt.Errorf("local authority: %w", err)
	}
	// The key comes first: a certificate without its key could not be repaired.
	if err := data.replace("tls/ca.key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return err
	}
	return data.replace("tls/ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// certificate is a tls.Config's GetCertificate.
func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	host := strings.ToLower(hello.ServerName)
	if host == "" { // a client that connects to an address sends no name
		host, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
	} else if !a.serves(host) {
		return nil, fmt.Errorf("no certificate for %q: it is not an address of this server", host)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.leaves[host]; c != nil && a.now().Before(c.Leaf.NotBefore.Add(leafValidity/2)) {
		return c, nil
	}
	c, err := a.issue(host)
	if err != nil {
		return nil, err
	}
	if len(a.leaves) >= maxLeaves {
		clear(a.leaves)
	}
	a.leaves[host] = c
	return c, nil
}

func (a *authority) issue(host string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(),
		NotBefore:    a.now().Add(-time.Hour),
		NotAfter:     a.now().Add(leafValidity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}, nil
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return n
}
