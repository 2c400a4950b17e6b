package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

func TestRead_Limits(t *testing.T) {
	c, err := read(t, "trusted_proxies: [10.0.0.0/8, \"fd00::/8\"]\nproxy_protocol: true\nlimits: {idle: 30s, min_rate: 0, body_memory: 1GiB, address_rate: 5, aws_quotas: true}\n")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if l := c.Limits; l.Idle != 30*time.Second || l.MinRate != 0 || l.BodyMemory != 1<<30 || l.AddressRate != 5 || l.PrincipalRate != 5000 || !l.AWSQuotas {
		t.Errorf("limits = %+v", l)
	}
	if n, err := c.ProxyNetworks(); err != nil || len(n) != 2 {
		t.Errorf("%v, %v", n, err)
	}
}

func TestValidate_Limits(t *testing.T) {
	for text, want := range map[string]string{
		"limits: {idle: 0s}":                   "limits.idle (line 1): ",
		"limits: {body_memory: 1MiB}":          "limits.body_memory (line 1): must be 512MiB",
		"limits: {body_memory: lots}":          `line 1: "lots" is not a size`,
		"limits: {body_memory: -1}":            "is not a size",
		"limits: {body_memory: 9999999999GiB}": "is not a size",
		"limits: {connections: -1}":            "limits.connections (line 1): ",
		"limits: {address_rate: -1}":           "limits.address_rate (line 1): ",
		"limits: {principal_rate: -1}":         "limits.principal_rate (line 1): ",
		"quotas: {images: -1}":                 "quotas.images (line 1): ",
		"quotas: {repositories: -1}":           "quotas.repositories (line 1): ",
		"quotas: {registry_bytes: -1}":         "is not a size",
		"limits: {min_rate: -1}":               "limits.min_rate (line 1): ",
		"trusted_proxies: [10.0.0.1]":          "trusted_proxies (line 1): ",
		"proxy_protocol: true":                 "proxy_protocol (line 1): needs trusted_proxies",
		"debug_listen: here":                   "debug_listen (line 1): ",
		"drain_delay: -1s":                     "drain_delay (line 1): ",
	} {
		c, err := read(t, text)
		if err == nil {
			err = c.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: err = %v", text, err)
		}
	}
}

func TestSize_String(t *testing.T) {
	for size, want := range map[config.Size]string{0: "0", 1000: "1000", 2 << 10: "2KiB", 256 << 20: "256MiB", 1 << 30: "1GiB"} {
		if size.String() != want {
			t.Errorf("%d: %s, want %s", int64(size), size, want)
		}
	}
}
