package config_test

import (
	"strings"
	"testing"
)

func TestValidate_Advisories(t *testing.T) {
	for text, want := range map[string]string{
		"advisories: {every: 1m}": "advisories.every",
		"advisories: {sources: {Npm: {url: https://a.example/all.zip}}}":                            "cannot be a name",
		"advisories: {sources: {npm: {proxy: none}}}":                                               "advisories.sources.npm.url",
		"advisories: {sources: {npm: {url: https://a.example/npm/}}}":                               "name a file",
		"advisories: {sources: {npm: {url: http://a.example/all.zip}}}":                             "not https",
		"advisories: {sources: {npm: {url: https://127.0.0.1/all.zip}}}":                            "allow_private",
		"advisories: {sources: {npm: {url: 'https://u:p4ss@a.example/all.zip'}}}":                   "credential",
		"advisories: {sources: {npm: {url: https://a.example/all.zip, credential: {scheme: x}}}}":   "advisories.sources.npm.credential",
		"advisories: {sources: {npm: {url: https://a.example/npm/all.zip}}}":                        "",
		"advisories: {sources: {a: {url: http://127.0.0.1:1/index.json, allow_private: true}}}":     "",
		"advisories: {every: 24h, sources: {npm: {url: https://a.example/a%2Fb.zip, proxy: none}}}": "",
	} {
		c, err := read(t, text)
		if err != nil {
			t.Fatal(err)
		}
		err = c.Validate()
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "p4ss") {
			t.Errorf("the error has the password: %v", err)
		}
	}
}
