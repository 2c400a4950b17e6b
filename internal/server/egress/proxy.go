package egress

import (
	"errors"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"
)

// A proxyChooser says through which HTTP proxy a URL is fetched.
type proxyChooser struct {
	forURL    func(*url.URL) (*url.URL, error) // nil means directly
	addresses map[string]bool                  // HOST:PORT of all proxies
}

// newProxy reads the setting: "", "none" or a URL.
func newProxy(setting string) (*proxyChooser, error) {
	var c httpproxy.Config
	switch setting {
	case "":
		c = *httpproxy.FromEnvironment()
	case "none":
	default:
		u, err := url.Parse(setting)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
			return nil, errors.New("it is neither none nor the URL of a proxy, such as http://proxy.example:3128")
		}
		return &proxyChooser{func(*url.URL) (*url.URL, error) { return u, nil }, map[string]bool{hostPort(u): true}}, nil
	}
	p := &proxyChooser{c.ProxyFunc(), map[string]bool{}}
	for _, text := range []string{c.HTTPProxy, c.HTTPSProxy} {
		if text == "" {
			continue
		}
		u, err := url.Parse(text)
		if err != nil || u.Host == "" { // HOST:PORT is allowed in the environment
			u, err = url.Parse("http://" + text)
		}
		if err != nil || u.Host == "" {
			return nil, errors.New("HTTP_PROXY or HTTPS_PROXY in the environment is not a URL")
		}
		p.addresses[hostPort(u)] = true
	}
	return p, nil
}
