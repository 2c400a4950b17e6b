package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

type healthcheckCommand struct {
	Config  string        `placeholder:"FILE" env:"GATEHOUSE_CONFIG" help:"The server's configuration file."`
	Listen  string        `placeholder:"HOST:PORT" env:"GATEHOUSE_LISTEN" help:"The server's --listen."`
	Ready   bool          `help:"Ask whether the server can do its work (/readyz), and not only whether it runs (/healthz)."`
	Timeout time.Duration `default:"5s" help:"How long to wait for the answer."`
}

// Help is what --help shows below the flags.
func (healthcheckCommand) Help() string {
	return `It asks the server on this machine, for supervisors that can only run a program: a container image without a shell has no curl. Give it the same --config and --listen as serve.

Exit code: 0 healthy, 1 not healthy.

Examples:

  gatehouse healthcheck
  gatehouse healthcheck --ready --config /etc/gatehouse/gatehouse.yaml`
}

// Run asks the server.
func (c *healthcheckCommand) Run(ctx context.Context, stdout io.Writer) error {
	cfg := config.Default()
	if c.Config != "" {
		if err := cfg.Read(c.Config); err != nil {
			return usageError{err}
		}
	}
	if c.Listen != "" {
		cfg.Listen = c.Listen
	}
	if err := cfg.Validate(); err != nil {
		return usageError{err}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	path := "/healthz"
	if c.Ready {
		path = "/readyz"
	}
	text, err := askServer(ctx, cfg, path)
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, text)
	return nil
}

// maxHealth bounds the answer that is printed, in bytes.
const maxHealth = 4 << 10

// askServer returns the server's answer to GET path, or an error with its text if the
// status is not 200.
func askServer(ctx context.Context, cfg *config.Config, path string) (string, error) {
	address, err := localAddress(cfg.Listen)
	if err != nil {
		return "", err
	}
	scheme := "http"
	if cfg.TLS != nil {
		scheme = "https"
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialServer(ctx, cfg, address)
		},
		// The certificate is for the name that clients use. This is the server's own
		// machine, and nothing secret is sent.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+address+path, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(r)
	if err != nil {
		return "", fmt.Errorf("the server does not answer: %w", err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxHealth))
	text := strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", path, res.Status, text)
	}
	return text, err
}

// localAddress is where a server that listens on an address can be reached from its own
// machine.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err
	}
	if port == "0" {
		return "", usageError{errors.New("--listen has port 0: only the server knows which port it took")}
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "" || err == nil && ip == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip == netip.IPv6Unspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// dialServer connects to the server. If this machine is a trusted proxy of a server that
// expects the PROXY protocol, the connection begins with a header that claims nothing.
func dialServer(ctx context.Context, cfg *config.Config, address string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil || !cfg.ProxyProtocol {
		return c, err
	}
	networks, err := cfg.ProxyNetworks()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(local.Addr().Unmap()) }) {
		return c, nil
	}
	if _, err := io.WriteString(c, "PROXY UNKNOWN\r\n"); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}
