package npm

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/formats"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
)

// Config is what a [Door] is made of.
type Config struct {
	// Packages is the store. Required.
	Packages *packages.Service
	// MaxTarball is the size of the largest tarball, in bytes. 0 is 5 GB, the
	// quota "Asset file size maximum" of CodeArtifact.
	MaxTarball int64
	// CacheBytes bounds the rendered documents that are kept; 0 is 64 MiB.
	CacheBytes int64
}

// A Door serves npm's clients. It is a [formats.Door].
type Door struct {
	packages   *packages.Service
	maxTarball int64
	documents  *formats.DocumentCache
}

// New returns the door.
func New(c Config) *Door {
	if c.MaxTarball == 0 {
		c.MaxTarball = 5_000_000_000
	}
	if c.CacheBytes == 0 {
		c.CacheBytes = 64 << 20
	}
	return &Door{packages: c.Packages, maxTarball: c.MaxTarball, documents: formats.NewDocumentCache(c.CacheBytes)}
}

// LoginTool is npm.
func (d *Door) LoginTool(*http.Request) string { return "npm" }

// Serve answers one request.
func (d *Door) Serve(w http.ResponseWriter, r *formats.Request) error {
	rt := parseRoute(strings.TrimPrefix(r.Rest, "/"))
	h := d.handler(r.Method, rt.kind)
	if h == nil {
		return refusal(r, rt)
	}
	return h(w, r, rt)
}

type handler func(w http.ResponseWriter, r *formats.Request, rt route) error

// handler is the table of what is served; nil for what is not.
func (d *Door) handler(method string, k kind) handler {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	switch method {
	case http.MethodGet:
		switch k {
		case document:
			return d.getDocument
		case version:
			return d.getVersion
		case tarball:
			return d.getTarball
		case distTags:
			return d.getTags
		case root, ping:
			return d.ping
		case whoami:
			return d.whoami
		case search:
			return d.search
		}
	case http.MethodPut:
		switch k {
		case document:
			return d.putDocument
		case revision:
			return d.putRevision
		case distTag:
			return d.putTag
		case distTags:
			return d.replaceTags
		}
	case http.MethodPost:
		if k == distTags {
			return d.mergeTags
		}
		if k == distTag {
			return d.putTag
		}
	case http.MethodDelete:
		switch k {
		case revision:
			return d.deletePackage
		case tarballRev:
			return d.deleteTarball
		case distTag:
			return d.deleteTag
		}
	}
	return nil
}

// refusal says why a request is not served.
func refusal(r *formats.Request, rt route) error {
	switch rt.kind {
	case advisories:
		return fault.New(fault.NotFound, "NoAdvisories", "This registry has no database of security advisories, so nothing was audited.")
	case account:
		return fault.New(fault.NotFound, "NoAccounts", "This registry has no accounts, teams, owners or tokens of its own: it knows you by your AWS credentials, and IAM says what you may do. Log in with: aws codeartifact login --tool npm --domain %s --repository %s",
			r.Repository.Domain.Name, r.Repository.Name)
	case unknown:
		return fault.New(fault.NotFound, "NotFound", "This registry has nothing at /%s.", r.Rest)
	}
	return fault.New(fault.NotFound, "NotFound", "This registry does not answer %s /%s.", r.Method, r.Rest)
}

// Refuse writes {"error": …}, the form that every client shows. Where a token is
// bad the reason is in npm-notice as well, which npm shows before anything else.
func (d *Door) Refuse(w http.ResponseWriter, r *formats.Request, status int, e *fault.Error) {
	if status == http.StatusUnauthorized {
		w.Header().Set("npm-notice", headerLine(e.Message))
	}
	out := append([]byte(nil), `{"error":`...)
	out = appendString(out, e.Message)
	out = append(out, `,"code":`...)
	out = appendString(out, e.Code)
	writeJSON(w, r, status, append(out, '}'))
}

// headerLine makes a message fit for a header.
func headerLine(s string) string {
	return strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return ' '
		}
		return c
	}, s)
}

// ok answers a change as the clients expect it.
func ok(w http.ResponseWriter, r *formats.Request, status int) error {
	writeJSON(w, r, status, []byte(`{"ok":true}`))
	return nil
}

func writeJSON(w http.ResponseWriter, r *formats.Request, status int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone; there is nobody to tell
	}
}

// ping answers that the token opens the repository.
func (d *Door) ping(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := d.packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, []byte(`{}`))
	return nil
}

// whoami answers the name of the IAM identity that obtained the token.
func (d *Door) whoami(w http.ResponseWriter, r *formats.Request, _ route) error {
	if err := d.packages.Authorized(r.Context(), r.Repository, "codeartifact:ReadFromRepository"); err != nil {
		return err
	}
	out, err := json.Marshal(map[string]string{"username": username(authn.FromContext(r.Context()))})
	if err != nil {
		return err
	}
	writeJSON(w, r, http.StatusOK, out)
	return nil
}

// username is a user's name, and for another principal what its ARN says after
// the account: "assumed-role/Role/session".
func username(c *authn.Caller) string {
	if c == nil || c.Principal == nil {
		return ""
	}
	if c.Name != "" {
		return c.Name
	}
	return c.ARN[strings.LastIndexByte(c.ARN, ':')+1:]
}
