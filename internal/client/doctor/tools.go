package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/shellquote"
)

// A configured tool is a tool with what its configuration says.
type configured struct {
	tool      login.Tool
	program   string // its path; "" if it is not installed
	addresses []string
	files     []file // that it reads, in this order
	err       error
}

// A file of a tool's configuration.
type file struct {
	path string
	text []byte
}

// configured reads the configurations of all tools. They are read once, so that
// all checks see the same version of each file.
func (m *Machine) configured() []configured {
	found, _ := m.tools.get(func() ([]configured, error) {
		var all []configured
		for _, t := range m.Tools {
			c := configured{tool: t, program: m.program(t)}
			read := func(path string) ([]byte, error) {
				text, err := m.ReadFile(path)
				if err == nil && !slices.ContainsFunc(c.files, func(f file) bool { return f.path == path }) {
					c.files = append(c.files, file{path, text})
				}
				return text, err
			}
			if t.Addresses != nil {
				c.addresses, c.err = t.Addresses(m.Places, read)
				slices.Sort(c.addresses)
				c.addresses = slices.Compact(c.addresses)
			}
			all = append(all, c)
		}
		return all, nil
	})
	return found
}

// program is the path of the tool; "" if it is not on PATH.
func (m *Machine) program(t login.Tool) string {
	for _, name := range t.Programs {
		if path, err := m.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// A grantKey identifies what one token opens.
type grantKey struct {
	service       string // ecr or codeartifact
	domain, owner string // of codeartifact
	region        string // of codeartifact
	host          string // whose token it may be
}

func (k grantKey) String() string {
	if k.service == "ecr" {
		return k.host
	}
	return k.domain
}

// keyOf says which token opens an address of a tool; ok is false if none can.
func keyOf(t login.Tool, address string) (k grantKey, ok bool) {
	if r, ok := authtoken.ParseRepositoryURL(address); ok {
		return grantKey{service: "codeartifact", domain: r.Domain, owner: r.Owner, region: r.Region, host: r.Suffix}, true
	}
	host := authtoken.Host(address)
	return grantKey{service: "ecr", host: host}, t.Format == "" && host != ""
}

// A grant says whether the caller gets the token.
type grant struct {
	key     grantKey
	address string // one of those that it opens
	err     error  // credential.ErrNotOurs if the endpoint does not know the address
	known   bool   // the token was asked for
}

func (g grant) notOurs() bool { return errors.Is(g.err, credential.ErrNotOurs) }

// parallel is how many tokens are asked for at once: few enough for the quotas.
const parallel = 4

// findGrants asks for a token for each address that a tool is configured for, as
// the helpers would, but only once for all addresses that one token opens.
func (m *Machine) findGrants(ctx context.Context) map[grantKey]grant {
	grants, _ := m.grants.get(func() (map[grantKey]grant, error) {
		var all []grant
		for _, c := range m.configured() {
			for _, address := range c.addresses {
				k, ok := keyOf(c.tool, address)
				if ok && !slices.ContainsFunc(all, func(g grant) bool { return g.key == k }) {
					all = append(all, grant{key: k, address: address})
				}
			}
		}
		lookup := m.lookup()
		var group errgroup.Group
		group.SetLimit(parallel)
		for i := range all {
			group.Go(func() error {
				_, all[i].err = lookup.Token(ctx, all[i].address)
				all[i].known = true
				return nil
			})
		}
		_ = group.Wait() // the functions return no error
		found := map[grantKey]grant{}
		for _, g := range all {
			found[g.key] = g
		}
		return found, nil
	})
	return grants
}

// checkTools says which repositories and registries each tool is configured for.
func (m *Machine) checkTools(ctx context.Context) []Finding {
	grants := m.findGrants(ctx)
	var found []Finding
	var absent []string
	for _, c := range m.configured() {
		if c.program == "" && c.err == nil && m.sharesConfiguration(c) {
			absent = append(absent, c.tool.Name)
			continue
		}
		found = append(found, m.tool(ctx, c, grants)...)
	}
	if len(absent) > 0 {
		found = append(found, passed("not installed: %s", strings.Join(absent, ", ")))
	}
	return found
}

// sharesConfiguration reports whether all addresses of a tool are in the
// configuration of installed tools, with which it shares its files.
func (m *Machine) sharesConfiguration(c configured) bool {
	return !slices.ContainsFunc(c.addresses, func(address string) bool {
		return !slices.ContainsFunc(m.configured(), func(other configured) bool {
			return other.program != "" && slices.Contains(other.addresses, address)
		})
	})
}

func (m *Machine) tool(ctx context.Context, c configured, grants map[grantKey]grant) []Finding {
	name := c.tool.Name
	if c.err != nil {
		return []Finding{failed("", "its configuration cannot be read: %v", unreadable(c.err)).withSubject(name)}
	}
	var found []Finding
	ours := false
	for _, address := range c.addresses {
		f, mine := m.describeAddress(ctx, c, address, grants)
		ours = ours || mine
		found = append(found, f.withSubject(name))
	}
	switch {
	case ours && c.program == "":
		found = append(found, warning("", "it is configured, but none of %s is on PATH", strings.Join(c.tool.Programs, ", ")).withSubject(name))
	case len(c.addresses) == 0:
		found = append(found, passed("not configured").withSubject(name))
	}
	return found
}

// unreadable says why an existing file cannot be read.
func unreadable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("%s: %w", path.Path, path.Err)
	}
	return err
}

// describeAddress says what one address of a tool is, and how the tool gets its
// token. mine reports whether the token comes, or should come, from this program.
func (m *Machine) describeAddress(ctx context.Context, c configured, address string, grants map[grantKey]grant) (f Finding, mine bool) {
	source := c.source(address)
	address = withoutPassword(address)
	k, known := keyOf(c.tool, address)
	g := grants[k]
	switch {
	case !known || g.notOurs():
		return passed("%s, which is not a registry or repository of the endpoint", address), false
	case g.err != nil || !g.known:
		return skipped("%s: no token for it", address), true
	case source == fromFile && !m.usesHelper(c.tool.Name, address):
		return passed("%s, with a token in its configuration", address), true
	case c.tool.Secret != login.FromHelper:
		return passed("%s", address), true
	case source == fromOther:
		return passed("%s, by another credential helper", address), true
	}
	t, ok, err := m.Lookup.Cached(ctx, address)
	if err != nil || !ok {
		return passed("%s, asks a helper for a token when it needs one", address), true
	}
	return passed("%s, asks a helper; a token is cached until %s", address, identity.Until(t.Expires, m.Now())), true
}

// checkTokens says which tokens can be obtained: the ones that the tools need, and
// otherwise one of each kind.
func (m *Machine) checkTokens(ctx context.Context) []Finding {
	p, unknown := m.prober(ctx)
	var (
		found         []Finding
		requiredToken = map[string]bool{}
	)
	for _, g := range sorted(m.findGrants(ctx)) {
		if !g.notOurs() {
			requiredToken[g.key.service] = true
			found = append(found, m.requiredToken(g, p, unknown).withSubject(g.key.String()))
		}
	}
	if unknown != nil {
		if len(found) == 0 {
			found = append(found, skipped("it is not known who the caller is"))
		}
		return found
	}
	if !requiredToken["ecr"] {
		found = append(found, m.optionalToken(p.ECR(ctx, "")))
	}
	if !requiredToken["codeartifact"] {
		found = append(found, m.optionalDomainTokens(ctx, p)...)
	}
	return found
}

// requiredToken is about a token that a tool needs. unknown says why the caller is
// not known; it is not repeated for each token.
func (m *Machine) requiredToken(g grant, p identity.Prober, unknown error) Finding {
	if g.err == nil {
		return passed("can be obtained")
	}
	remembered := m.remembered(g.address)
	req := credential.Request{
		Service: g.key.service, Domain: g.key.domain, Owner: g.key.owner,
		Region: cmp.Or(g.key.region, remembered.Region, p.Config.Region), Profile: cmp.Or(m.AWS.Profile, remembered.Profile),
		Endpoint: cmp.Or(m.AWS.EndpointURL, remembered.EndpointURL),
	}
	t, explained := credential.Diagnose(g.err, req)
	if unknown != nil && remembered.Empty() {
		return skipped("it is not known who the caller is")
	}
	f := m.explain(g.err, req)
	if explained && t.Missing != "" {
		f.Fix = p.Caller.Grant(identity.Permission{Service: req.Service, Domain: req.Domain, Owner: req.Owner, Missing: t.Missing}, req.Region)
	}
	return f
}

// remembered is the address book's entry for an address.
func (m *Machine) remembered(address string) credential.Address {
	if m.Lookup.Addresses == nil {
		return credential.Address{}
	}
	book, err := m.Lookup.Addresses()
	if err != nil { // checkAddresses reports it
		return credential.Address{}
	}
	return book.Find(address)
}

// checkAddresses reads the address book.
func (m *Machine) checkAddresses(context.Context) []Finding {
	path := credential.AddressFile(m.Places.Home, m.Places.GOOS, m.Places.Getenv)
	book, err := credential.ReadAddresses(path)
	if err != nil {
		return []Finding{failed(`"${EDITOR:-vi}" `+shellquote.Quote(path), "%v", err)}
	}
	if len(book) == 0 {
		return []Finding{passed("none are recorded")}
	}
	return []Finding{passed("%s has %d", path, len(book))}
}

// optionalDomainTokens asks for tokens for the domains that can be listed.
func (m *Machine) optionalDomainTokens(ctx context.Context, p identity.Prober) []Finding {
	domains, err := p.Domains(ctx)
	switch {
	case err != nil:
		return []Finding{skipped("the domains cannot be listed: %s", p.Brief(err)).withSubject("codeartifact")}
	case len(domains) == 0:
		return []Finding{skipped("there is no domain in region %s", p.Config.Region).withSubject("codeartifact")}
	}
	var found []Finding
	for _, d := range domains {
		found = append(found, m.optionalToken(p.CodeArtifact(ctx, d.Name, d.Owner)))
	}
	return found
}

// optionalToken is about a token that no tool needs.
func (m *Machine) optionalToken(p identity.Permission) Finding {
	if p.Allowed {
		return passed("can be obtained").withSubject(p.String())
	}
	return warning(p.Fix, "%s: %s", p.Problem, p.Advice).withSubject(p.String())
}

func sorted(grants map[grantKey]grant) []grant {
	var all []grant
	for _, g := range grants {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b grant) int {
		return cmp.Or(strings.Compare(a.key.service, b.key.service), strings.Compare(a.key.String(), b.key.String()), strings.Compare(a.key.host, b.key.host))
	})
	return all
}

// loginLine is the command that logs the tool in to the address.
func loginLine(t login.Tool, address string) string {
	words := []string{"gatehouse", "login", t.Name}
	if r, ok := authtoken.ParseRepositoryURL(address); ok {
		words = append(words, "--domain", r.Domain, "--domain-owner", r.Owner, "--repository", r.Name, "--region", r.Region)
	} else if r, ok := authtoken.ParseRegistryHost(address); ok {
		words = append(words, "--registry-id", r.Account, "--region", r.Region)
	}
	return shellquote.Line(words...)
}
