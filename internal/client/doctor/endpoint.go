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

// A probe is an unsigned request to one endpoint, to see whether it answers at
// all.
type probe struct {
	services string // names of the endpoint's services, for people
	url      string
	err      error
	ahead    time.Duration // how far this machine's clock is ahead of the endpoint's
	dated    bool          // whether the answer had a date
}

// probe asks each endpoint once. Without an error there is at least one.
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

// send uses the client of the AWS configuration, which has its certificate
// authorities.
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
	_, _ = io.CopyN(io.Discard, res.Body, 64<<10) // lets the connection be reused
	date, err := http.ParseTime(res.Header.Get("Date"))
	if err != nil {
		return
	}
	// A Date has whole seconds, and is from a moment between the two.
	after := m.Now()
	p.dated = true
	switch {
	case before.Sub(date) > time.Second:
		p.ahead = before.Sub(date)
	case date.Sub(after) > 0:
		p.ahead = after.Sub(date)
	}
}

// checkEndpoints says which endpoints answer.
func (m *Machine) checkEndpoints(ctx context.Context) []Finding {
	probes, err := m.probe(ctx)
	if err != nil {
		return []Finding{skipped("there is no region or no configuration")}
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

// setClockCommand sets the clock by the system's own time servers.
func (m *Machine) setClockCommand() string {
	switch m.Places.GOOS {
	case "windows":
		return "w32tm /resync"
	case "darwin":
		return "sudo sntp -sS time.apple.com"
	}
	return "sudo timedatectl set-ntp true"
}

// proxyVariables are the variables that name a proxy, by the scheme of the address.
var proxyVariables = map[string][]string{
	"http":  {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"},
	"https": {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"},
}

// checkProxy checks whether requests to this machine would go through a proxy,
// which cannot reach it. Go's clients never send such requests to a proxy; most
// other clients do.
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

// exempt reports whether NO_PROXY has the host or a domain above it.
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

// onLoopback reports whether an address is a loopback address.
func onLoopback(address string) bool {
	u, err := url.Parse(address)
	return err == nil && loopback.Is(u.Hostname())
}
