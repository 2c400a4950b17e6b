package doctor

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// checkFiles looks at the files that hold secrets: who can read them, and whether
// the tokens in them are still valid.
func (m *Machine) checkFiles(ctx context.Context) []Finding {
	found := m.awsFiles()
	grants := m.findGrants(ctx)
	seen := map[string]bool{}
	for _, c := range m.configured() {
		for _, f := range c.files {
			tokens := findTokens(f.text)
			if len(tokens) == 0 || seen[f.path] {
				continue
			}
			seen[f.path] = true
			if one, readableByOthers := m.readableByOthers(f.path); readableByOthers {
				found = append(found, one)
			}
			found = append(found, m.describeTokens(ctx, c, f.path, tokens, grants)...)
		}
	}
	if len(found) == 0 {
		return []Finding{passed("no tool's configuration holds a token")}
	}
	return found
}

// awsFiles checks the file with the access keys.
func (m *Machine) awsFiles() []Finding {
	path := cmp.Or(m.Places.Getenv("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(m.Places.Home, ".aws", "credentials"))
	if one, readableByOthers := m.readableByOthers(path); readableByOthers {
		return []Finding{one}
	}
	return nil
}

// readableByOthers reports a file that users other than its owner can read.
func (m *Machine) readableByOthers(path string) (Finding, bool) {
	if m.Places.GOOS == "windows" { // which has other means than these modes
		return Finding{}, false
	}
	info, err := m.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 {
		return Finding{}, false
	}
	return failed(shellquote.Line("chmod", "600", path), "%s holds a secret, and others can read it (mode %04o)", path, info.Mode().Perm()), true
}

// describeTokens says for each token in a file how long it is valid.
func (m *Machine) describeTokens(ctx context.Context, c configured, path string, tokens []foundToken, grants map[grantKey]grant) []Finding {
	address := m.onlyAddress(c, grants)
	fix := "" // if it is not known what the token is for
	if address != "" {
		fix = loginLine(c.tool, address)
	}
	var found []Finding
	for _, t := range tokens {
		switch {
		case len(tokens) == 1 && !m.recordedExpiry(path).IsZero():
			found = append(found, passed("%s holds the token of gatehouse login: see login", path))
		case !t.expires.IsZero() && t.expires.Before(m.Now()):
			found = append(found, failed(fix, "%s holds a token until %s", path, identity.Until(t.expires, m.Now())))
		case !t.expires.IsZero():
			found = append(found, passed("%s holds a token until %s", path, identity.Until(t.expires, m.Now())))
		case address != "" && c.tool.Secret == login.FromHelper && m.usesHelper(c.tool.Name, address):
			found = append(found, warning(leftover(c.tool, address), "%s holds a token that is not needed: %s asks a helper for one", path, c.tool.Name))
		case address != "" && m.refused(ctx, address, t.password):
			found = append(found, failed(fix, "%s holds a token that %s refuses: it has expired, or was revoked", path, authtoken.Host(address)))
		case address != "":
			found = append(found, passed("%s holds a token that is valid now; it does not say until when", path))
		default:
			found = append(found, passed("%s holds a token; it does not say until when it is valid", path))
		}
	}
	for i := range found {
		found[i].Subject = c.tool.Name
	}
	return slices.Compact(found)
}

// leftover is the line that removes a token which a container client has put into
// its configuration; "" for other tools.
func leftover(t login.Tool, address string) string {
	if t.Name != "docker" && t.Name != "podman" {
		return ""
	}
	return shellquote.Line(t.Name, "logout", authtoken.Host(address))
}

// onlyAddress is an address of a tool that has a token from here. It is "" if there
// is none, and also if the tool has addresses of several issuers: a token is sent
// only to its own.
func (m *Machine) onlyAddress(c configured, grants map[grantKey]grant) string {
	first, whose := "", grantKey{}
	for _, address := range c.addresses {
		k, known := keyOf(c.tool, address)
		if known && first == "" && grants[k].known && grants[k].err == nil {
			first, whose = address, k
		}
	}
	for _, address := range c.addresses {
		if k, known := keyOf(c.tool, address); first != "" && (!known || k != whose) {
			return ""
		}
	}
	return first
}

// refused asks the address that the token is for whether it is still valid.
func (m *Machine) refused(ctx context.Context, address, password string) bool {
	cfg, err := m.loadConfig(ctx)
	if err != nil {
		return false
	}
	user := "aws"
	if _, packages := authtoken.ParseRepositoryURL(address); !packages {
		user = "AWS"
		address = m.registryURL(address) + "/v2/"
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return false
	}
	r.URL.User = nil
	r.SetBasicAuth(user, password)
	res, err := httpClient(cfg).Do(r)
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden
}

// registryURL is the address of a registry with its scheme: HTTP for a registry on
// this machine, and HTTPS for others.
func (m *Machine) registryURL(address string) string {
	host := authtoken.Host(address)
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return u.Scheme + "://" + host
	}
	if onLoopback("http://" + host) {
		return "http://" + host
	}
	return "https://" + host
}

// checkCache checks whether tokens can be cached, so that the processes of a build
// share them.
func (m *Machine) checkCache(context.Context) []Finding {
	dir, err := authtoken.UserCacheDir()
	if err != nil {
		return []Finding{failed(`export HOME="$(eval echo "~$(id -un)")"`, "there is no folder for it: %v", err)}
	}
	info, err := m.Stat(dir)
	switch {
	case err != nil:
		return []Finding{m.parent(dir)}
	case !info.IsDir():
		return []Finding{failed(shellquote.Line("mv", dir, dir+".old"), "%s is not a folder; each process asks for its own token", dir)}
	case m.Places.GOOS != "windows" && info.Mode().Perm()&0o022 != 0:
		return []Finding{failed(shellquote.Line("chmod", "700", dir), "others can write to %s (mode %04o)", dir, info.Mode().Perm())}
	case !writable(dir):
		return []Finding{failed(`sudo chown -R "$(id -un)" `+shellquote.Quote(dir), "%s is not writable; each process asks for its own token", dir)}
	}
	return []Finding{passed("%s", dir)}
}

// parent checks the folder in which a missing folder would be created.
func (m *Machine) parent(dir string) Finding {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		info, err := m.Stat(up)
		switch {
		case err == nil && info.IsDir() && writable(up):
			return passed("%s will be created when it is needed", dir)
		case err == nil && info.IsDir():
			return failed(`export XDG_CACHE_HOME="$(mktemp -d)"`, "%s cannot be created: %s is not writable", dir, up)
		case err == nil:
			return failed(shellquote.Line("mv", up, up+".old"), "%s cannot be created: %s is not a folder", dir, up)
		case up == filepath.Dir(up):
			return failed("", "%s cannot be created: %v", dir, err)
		}
	}
}
