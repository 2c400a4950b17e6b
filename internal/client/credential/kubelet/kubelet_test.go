package kubelet_test

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/client/credential/credentialtest"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential/kubelet"
)

func TestRun(t *testing.T) {
	const head, answer = `{"apiVersion":"credentialprovider.kubelet.k8s.io/`, `","kind":"CredentialProviderResponse","cacheKeyType":"Registry",`
	for _, c := range []struct {
		in, out string
		fails   bool
	}{
		{head + `v1","kind":"CredentialProviderRequest","image":"gate.example/team/app:v1"}`, head + "v1" + answer + `"cacheDuration":"6h0m0s","auth":{"gate.example":{"username":"aws","password":"secret"}}}`, false},
		{head + `v1beta1","kind":"CredentialProviderRequest","image":"gate.example:5000/app@sha256:00"}`, head + "v1beta1" + answer + `"cacheDuration":"6h0m0s","auth":{"gate.example:5000":{"username":"aws","password":"secret"}}}`, false},
		{head + `v1","kind":"CredentialProviderRequest","image":"other.example/app"}`, head + "v1" + answer + `"cacheDuration":"0s","auth":{}}`, false},
		{head + `v1","kind":"CredentialProviderRequest","image":"denied.example/app"}`, "", true},
		{head + `v2","kind":"CredentialProviderRequest","image":"gate.example/app"}`, "", true},
		{head + `v1","kind":"Pod","image":"gate.example/app"}`, "", true},
		{`{"apiVersion":"v1","kind":"CredentialProviderRequest","image":"gate.example/app"}`, "", true},
		{"image", "", true},
	} {
		var out strings.Builder
		now := func() time.Time { return credentialtest.Expires.Add(-12 * time.Hour) }
		err := kubelet.Run(t.Context(), strings.NewReader(c.in), &out, new(credentialtest.Tokens), now)
		if strings.TrimSpace(out.String()) != c.out || (err != nil) != c.fails {
			t.Errorf("%s: %q, %v", c.in, out.String(), err)
		}
	}
}
