package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/config"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// A trustStore says where a tool finds the certificate authorities that it trusts.
type trustStore struct {
	// variables name a file of authorities; the first one that is set counts.
	variables []string
	// additional says that the file adds to the system's authorities instead of
	// replacing them.
	additional bool
	// folders have, in a folder of the host's name, the authorities for one host.
	folders []string
	// java says that the tool runs on Java, whose store has its own format.
	java bool
}

var (
	node     = trustStore{variables: []string{"NODE_EXTRA_CA_CERTS"}, additional: true}
	requests = trustStore{variables: []string{"REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}}
	openssl  = trustStore{variables: []string{"SSL_CERT_FILE"}}
	java     = trustStore{java: true}
)

// trustStores are the stores of the tools, according to each tool's documentation.
// A tool that is not listed uses the system's authorities, which SSL_CERT_FILE
// replaces.
var trustStores = map[string]trustStore{
	"npm": node, "pnpm": node, "yarn": node, "yarn1": node, "yarn4": node, "bun": node,
	"pip":    {variables: []string{"PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}},
	"twine":  {variables: []string{"TWINE_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}},
	"poetry": requests, "pdm": requests,
	"cargo":   {variables: []string{"CARGO_HTTP_CAINFO", "SSL_CERT_FILE"}},
	"bundler": {variables: []string{"BUNDLE_SSL_CA_CERT", "SSL_CERT_FILE"}},
	"maven":   java, "gradle": java, "sbt": java,
	"docker": {folders: []string{"/etc/docker/certs.d"}, additional: true},
	"podman": {variables: []string{"SSL_CERT_FILE"}, folders: []string{"/etc/containers/certs.d", "/etc/docker/certs.d"}, additional: true},
}

func trustStoreOf(tool string) trustStore {
	if s, ok := trustStores[tool]; ok {
		return s
	}
	return openssl
}

// hostCertificates are the certificates that a host has presented.
type hostCertificates struct {
	host  string // with its port if it has one
	chain []*x509.Certificate
	err   error
}

// checkTrust checks whether the AWS configuration and each tool trust the
// certificates of their hosts.
func (m *Machine) checkTrust(ctx context.Context) []Finding {
	var found []Finding
	hosts := map[string]*hostCertificates{}
	show := func(address string) *hostCertificates {
		host := authtoken.Host(address)
		if hosts[host] == nil {
			hosts[host] = fetchCertificates(ctx, host)
		}
		return hosts[host]
	}
	probes, err := m.probe(ctx)
	encrypted, reached := false, err == nil
	for _, p := range probes {
		encrypted = encrypted || strings.HasPrefix(p.url, "https:")
		reached = reached && p.err == nil
	}
	grants := m.findGrants(ctx)
	for _, c := range m.configured() {
		if c.program == "" {
			continue
		}
		asked := map[string]bool{}
		for _, address := range c.addresses {
			k, known := keyOf(c.tool, address)
			host := authtoken.Host(address)
			if !known || grants[k].notOurs() || asked[host] || m.plain(address) {
				continue
			}
			asked[host], encrypted = true, true
			found = append(found, m.checkTool(ctx, c.tool.Name, show(address)).withSubject(c.tool.Name))
		}
	}
	switch {
	case len(found) > 0:
		return found
	case !reached:
		return []Finding{skipped("the endpoint cannot be reached")}
	case !encrypted:
		return []Finding{passed("no address uses TLS")}
	}
	return []Finding{passed("the AWS configuration trusts its endpoints")}
}

// plain reports whether an address is used without TLS: its scheme says so, or it is
// a registry on this machine, for which container clients try HTTP first.
func (m *Machine) plain(address string) bool {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Scheme != "https"
	}
	return onLoopback("http://" + authtoken.Host(address))
}

// fetchCertificates asks a host for its certificates. They are verified afterwards,
// so the connection is used for nothing else.
func fetchCertificates(ctx context.Context, host string) *hostCertificates {
	p := &hostCertificates{host: host}
	transport := &http.Transport{
		Proxy:             http.ProxyFromEnvironment,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // see above
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, "https://"+host+"/", nil)
	if err != nil {
		p.err = err
		return p
	}
	res, err := transport.RoundTrip(r)
	if err != nil {
		p.err = err
		return p
	}
	res.Body.Close()
	p.chain = res.TLS.PeerCertificates // at least one: HTTPS servers always have a certificate
	return p
}

// checkTool checks whether a tool trusts the certificates of a host.
func (m *Machine) checkTool(ctx context.Context, tool string, p *hostCertificates) Finding {
	if p.err != nil {
		return failed("", "%s cannot be reached: %v", p.host, p.err)
	}
	s := trustStoreOf(tool)
	pool, from, err := m.pool(s, p.host)
	if err != nil {
		return failed("", "%s names a file of authorities that cannot be read: %v", from, err)
	}
	if p.verify(pool) == nil {
		return passed("trusts %s, by %s", p.host, from)
	}
	bundle := m.bundle(ctx, p)
	if s.java {
		return warning(javaStore(bundle, p.host), "%s has a certificate of a private authority; add it to Java's store", p.host)
	}
	return failed(s.fix(bundle, p.host), "does not trust %s, by %s", p.host, from)
}

// verify checks the certificates against authorities, for the host's name.
func (p *hostCertificates) verify(roots *x509.CertPool) error {
	name := (&url.URL{Host: p.host}).Hostname()
	intermediates := x509.NewCertPool()
	for _, c := range p.chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := p.chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: intermediates})
	return err
}

// pool returns the authorities of a store; from says where they come from.
func (m *Machine) pool(s trustStore, host string) (pool *x509.CertPool, from string, err error) {
	from = "the system's authorities"
	if pool, err = x509.SystemCertPool(); err != nil {
		return nil, from, err
	}
	for _, name := range s.variables {
		path := m.Places.Getenv(name)
		if path == "" {
			continue
		}
		text, err := m.ReadFile(path)
		if err != nil {
			return nil, name, err
		}
		if !s.additional {
			pool = x509.NewCertPool()
		}
		pool.AppendCertsFromPEM(text)
		return pool, name, nil
	}
	for _, folder := range s.folders {
		path := filepath.Join(folder, host, "ca.crt")
		if text, err := m.ReadFile(path); err == nil {
			pool.AppendCertsFromPEM(text)
			return pool, path, nil
		}
	}
	return pool, from, nil
}

// bundle is a file with the authority of a host if the AWS configuration has one,
// and otherwise a placeholder.
func (m *Machine) bundle(ctx context.Context, p *hostCertificates) string {
	for _, path := range m.bundles(ctx) {
		text, err := m.ReadFile(path)
		if err != nil {
			continue
		}
		if pool := x509.NewCertPool(); pool.AppendCertsFromPEM(text) && p.verify(pool) == nil {
			return path
		}
	}
	return "ca.pem"
}

// bundles are the files of authorities that the environment and the profile name.
func (m *Machine) bundles(ctx context.Context) []string {
	paths := []string{m.Places.Getenv("AWS_CA_BUNDLE")}
	if c, err := config.LoadSharedConfigProfile(ctx, identity.Profile(m.AWS), sharedFiles); err == nil {
		paths = append(paths, c.CustomCABundle)
	}
	paths = append(paths, m.Places.Getenv("SSL_CERT_FILE"))
	return slices.DeleteFunc(paths, func(p string) bool { return p == "" })
}

// fix is the line that makes a tool trust the authorities of a file.
func (s trustStore) fix(bundle, host string) string {
	if len(s.variables) == 0 {
		return shellquote.Line("sudo", "install", "-D", "-m", "644", bundle, filepath.Join(s.folders[0], host, "ca.crt"))
	}
	return "export " + s.variables[0] + "=" + shellquote.Quote(bundle)
}

// javaStore are the lines that copy Java's own store, add the authority, and point
// Java at the copy.
func javaStore(bundle, host string) string {
	const copied = `"$HOME/.gatehouse-cacerts"`
	return `cp "$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")/lib/security/cacerts" ` + copied + "\n" +
		"keytool -importcert -noprompt -storepass changeit -alias " + shellquote.Quote(host) + " -file " + shellquote.Quote(bundle) + " -keystore " + copied + "\n" +
		`export JAVA_TOOL_OPTIONS="-Djavax.net.ssl.trustStore=$HOME/.gatehouse-cacerts"`
}
