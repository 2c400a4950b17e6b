package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/loopback"
)

// Beyond fatalSkew, AWS refuses signatures (Signature Version 4, "Elements of an
// AWS API request signature"); beyond noticeableSkew something is wrong already.
const (
	fatalSkew      = 15 * time.Minute
	noticeableSkew = time.Minute
)

// A probe is a request that nobody signed to one endpoint, to see whether there
// is an answer at all.
type probe struct {
	services string // those of the endpoint, for a person
	url      string
	err      error
	ahead    time.Duration // of this machine's clock before the endpoint's
	dated    bool          // the answer had a date
}

// probe asks each endpoint once. There is at least one where there is no error.
func (m *Machine) probe(ctx context.Context) ([]probe, error) {
	return m.probes.get(func() ([]probe, error) {
		cfg, err := m.loadConfig(ctx)
		if err != nil {
			return nil, err
		}
		e := identity.Resolve(ctx, cfg)
		var probes []probe
	services:
		for _, s := range [][2]string{{"sts", e.STS}, {"ecr", e.ECR}, {"codeartifact", e.CodeArtifact}} {
			if s[1] == "" {
				return nil, &aws.MissingRegionError{}
			}
			for i := range probes {
				if probes[i].url == s[1] {
					probes[i].services += ", " + s[0]
					continue services
				}
			}
			probes = append(probes, probe{services: s[0], url: s[1]})
		}
		var wait sync.WaitGroup
		for i := range probes {
			wait.Go(func() { m.send(ctx, httpClient(cfg), &probes[i]) })
		}
		wait.Wait()
		return probes, nil
	})
}

// send asks by the client of the AWS configuration, which has its authorities.
func (m *Machine) send(ctx context.Context, client aws.HTTPClient, p *probe) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url, nil)
	if err != nil {
		p.err = err
		return
	}
	before := m.Now()
	res, err := client.Do(r)
	if err != nil {
		p.err = err
		return
	}
	defer res.Body.Close()
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // so that the connection can be used again
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return
	}
	// A Date has whole seconds, and is of some moment between the two.
	after := m.Now()
	p.dated = true
	switch {
	case before.Sub(date) > time.Second:
		p.ahead = before.Sub(date)
	case date.Sub(after) > 0:
		p.ahead = after.Sub(date)
	}
}

// checkEndpoints says which answer.
func (m *Machine) checkEndpoints(ctx context.Context) []Finding {
	probes, err := m.probe(ctx)
	if err != nil {
		return []Finding{skipped("there is no region, or no configuration")}
	}
	var found []Finding
	for _, p := range probes {
		if p.err != nil {
			found = append(found, m.explain(p.err, credential.Request{Service: p.services, Endpoint: p.url}))
			continue
		}
		found = append(found, passed("%s answers, for %s", p.url, p.services))
	}
	return found
}

// checkClock compares this machine's clock with the endpoints'.
func (m *Machine) checkClock(ctx context.Context) []Finding {
	probes, err := m.probe(ctx)
	if err != nil {
		return []Finding{skipped("no endpoint to compare it with")}
	}
	var worst *probe
	for i, p := range probes {
		if p.dated && (worst == nil || p.ahead.Abs() > worst.ahead.Abs()) {
			worst = &probes[i]
		}
	}
	if worst == nil {
		return []Finding{skipped("no endpoint to compare it with")}
	}
	skew := skewed(worst.ahead, worst.url)
	switch {
	case worst.ahead.Abs() >= fatalSkew:
		return []Finding{failed(m.setClockCommand(), "%s; from %v on, signatures are refused", skew, fatalSkew)}
	case worst.ahead.Abs() > noticeableSkew:
		return []Finding{warning(m.setClockCommand(), "%s", skew)}
	}
	return []Finding{passed("%s", skew)}
}

func skewed(ahead time.Duration, endpoint string) string {
	way := "ahead of"
	switch {
	case ahead == 0:
		return "agrees with that of " + endpoint
	case ahead < 0:
		way = "behind"
	}
	return fmt.Sprintf("%v %s that of %s", ahead.Abs().Round(time.Second), way, endpoint)
}

// setClock sets it right, by the time servers that the system knows.
func (m *Machine) setClockCommand() string {
	switch m.Places.GOOS {
	case "windows":
		return "w32tm /resync"
	case "darwin":
		return "sudo sntp -sS time.apple.com"
	}
	return "sudo timedatectl set-ntp true"
}

// proxied are the variables that name a proxy, by the scheme of what is reached.
var proxyVariables = map[string][]string{
	"http":  {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"},
	"https": {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
}

// checkProxy looks whether requests to this machine itself would go through a
// proxy, which cannot reach it. Go's clients know better; most others do not.
func (m *Machine) checkProxy(ctx context.Context) []Finding {
	cfg, err := m.loadConfig(ctx)
	if err != nil {
		return []Finding{skipped("there is no configuration")}
	}
	addresses := []string{identity.Resolve(ctx, cfg).ECR}
	for _, c := range m.configured() {
		addresses = append(addresses, c.addresses...)
	}
	for _, address := range addresses {
		u, err := url.Parse(address)
		if err != nil || !onLoopback(address) {
			continue
		}
		if name, proxy := m.proxyOf(u.Scheme); proxy != "" && !m.exempt(u.Hostname()) {
			list := strings.Trim(m.Places.Getenv("NO_PROXY")+",127.0.0.1,localhost,::1", ",")
			return []Finding{warning("export NO_PROXY="+list+" no_proxy="+list,
				"%s is set, so most clients ask the proxy for %s, which only this machine can reach", name, u.Host)}
		}
	}
	for _, scheme := range []string{"https", "http"} {
		if name, proxy := m.proxyOf(scheme); proxy != "" {
			return []Finding{passed("%s is set", name)}
		}
	}
	return []Finding{passed("none")}
}

func (m *Machine) proxyOf(scheme string) (name, proxy string) {
	for _, name := range proxyVariables[scheme] {
		if proxy := m.Places.Getenv(name); proxy != "" {
			return name, proxy
		}
	}
	return "", ""
}

// exempt reports whether NO_PROXY has the host: itself, or a domain above it.
func (m *Machine) exempt(host string) bool {
	list := m.Places.Getenv("NO_PROXY") + "," + m.Places.Getenv("no_proxy")
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "*" {
			return true
		}
		entry = strings.TrimPrefix(strings.TrimPrefix(entry, "*"), ".")
		if h, _, err := net.SplitHostPort(entry); err == nil {
			entry = h
		}
		if entry != "" && (entry == host || strings.HasSuffix(host, "."+entry)) {
			return true
		}
	}
	return false
}

// onLoopback reports whether an address is one of this machine alone.
func onLoopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && loopback.Is(u.Hostname())
}
