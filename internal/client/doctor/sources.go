package doctor

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/gatehouse-registry/gatehouse/authtoken"
)

// A tokenSource is how a tool gets the token for an address, as far as its
// configuration says.
type tokenSource int

const (
	fromUnknown tokenSource = iota
	fromHelper              // it asks our helper
	fromOther               // it asks another helper
	fromFile                // its configuration holds the token
)

// source finds out how a tool gets the token for an address. Tools that can ask a
// helper can also hold a token: `docker login` puts one into docker's
// configuration, and a person may write one into an address.
func (c configured) source(address string) tokenSource {
	if u, err := url.Parse(address); err == nil {
		if _, has := u.User.Password(); has {
			return fromFile
		}
	}
	helper, docker := strings.CutPrefix(c.tool.Helper, dockerHelper)
	for _, f := range c.files {
		if docker {
			if s := dockerSource(f.text, authtoken.Host(address), helper); s != fromUnknown {
				return s
			}
		} else if len(findTokens(f.text)) > 0 {
			return fromFile
		}
	}
	return fromUnknown
}

// dockerSource reads a configuration of docker, which podman and helm have too. An
// entry of credHelpers counts before credsStore, and both before what is in auths.
func dockerSource(text []byte, host, helper string) tokenSource {
	var config struct {
		CredHelpers map[string]string          `json:"credHelpers"`
		CredsStore  string                     `json:"credsStore"`
		Auths       map[string]json.RawMessage `json:"auths"`
	}
	if json.Unmarshal(text, &config) != nil {
		return fromUnknown
	}
	asked, ok := config.CredHelpers[host]
	if !ok {
		asked = config.CredsStore
	}
	switch {
	case asked == helper:
		return fromHelper
	case asked != "":
		return fromOther
	}
	for name, auth := range config.Auths {
		if authtoken.Host(name) == host && len(findTokens(auth)) > 0 {
			return fromFile
		}
	}
	return fromUnknown
}
