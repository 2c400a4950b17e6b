package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

func TestHealthcheck(t *testing.T) {
	for name, settings := range map[string]string{
		"plain":                             "",
		"TLS":                               "tls: {}\n",
		"PROXY protocol":                    "trusted_proxies: [127.0.0.0/8]\nproxy_protocol: true\n",
		"PROXY protocol of another machine": "trusted_proxies: [192.0.2.0/24]\nproxy_protocol: true\n",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "gatehouse.yaml")
			text := "data: " + filepath.Join(dir, "data") + "\nlog: {level: error}\n" + settings
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c := config.Default()
			if err := c.Read(file); err != nil {
				t.Fatal(err)
			}
			c.Listen = "0.0.0.0:0"
			ctx, cancel := context.WithCancel(t.Context())
			s, err := app.Start(ctx, c)
			if err != nil {
				t.Fatal(err)
			}
			_, address, _ := strings.Cut(s.Address(), "://")
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			for path, arguments := range map[string][]string{"ok\n": nil, "ready\n": {"--ready"}} {
				code, out, stderr := execute(t, append([]string{"healthcheck", "--config", file, "--listen", "0.0.0.0:" + port}, arguments...)...)
				if code != 0 || out != path {
					t.Errorf("%d %q %q", code, out, stderr)
				}
			}
			cancel()
			if err := s.Wait(); err != nil {
				t.Error(err)
			}
			if code, _, stderr := execute(t, "healthcheck", "--config", file, "--listen", "0.0.0.0:"+port); code != 1 || !strings.Contains(stderr, "does not answer") {
				t.Errorf("after the stop: %d %q", code, stderr)
			}
		})
	}
	if code, _, stderr := execute(t, "healthcheck", "--listen", "127.0.0.1:0"); code != 2 || !strings.Contains(stderr, "port 0") {
		t.Errorf("%d %q", code, stderr)
	}
}
