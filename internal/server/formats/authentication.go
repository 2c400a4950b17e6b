package formats

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// Authentication is how the clients of a format send their token, and what a 401 asks
// them for.
//
// In every format a token may stand in the Authorization header as "Bearer TOKEN", as
// the password of Basic credentials with any user, or as it is.
type Authentication struct {
	// Challenges are what a 401 asks for. Each has a WWW-Authenticate line of its own:
	// Maven, Gradle and coursier send no credentials if Bearer and Basic share a line.
	// Basic must be missing for clients that stop at it, such as Swift on Linux.
	Challenges []Challenge
	// TokenHeader is another header that carries a token, such as NuGet's
	// X-NuGet-ApiKey, or "". It counts only if there is no Authorization header.
	TokenHeader string
}

// BearerOrBasic is the authentication of most formats.
func BearerOrBasic() Authentication {
	return Authentication{Challenges: []Challenge{BearerChallenge, BasicChallenge}}
}

// A Challenge returns the value of a WWW-Authenticate line. reason says why the token
// that the client sent is not valid and how to get a new one; it can be in a quoted
// string as it is. It is empty if the client sent no token.
type Challenge func(r *Request, reason string) string

// BearerChallenge asks for "Bearer TOKEN" as CodeArtifact does, and says why the token
// that was sent is not valid (RFC 6750, section 3). npm shows only this of a 401.
func BearerChallenge(r *Request, reason string) string {
	c := fmt.Sprintf("Bearer realm=%q", r.Realm())
	if reason != "" {
		c += fmt.Sprintf(`, error="invalid_token", error_description="%s"`, reason)
	}
	return c
}

// BasicChallenge asks for a user and a password. sbt finds its credentials by the realm.
func BasicChallenge(r *Request, _ string) string { return fmt.Sprintf("Basic realm=%q", r.Realm()) }

// sentToken reports whether the client sent something that could be a token.
func (a Authentication) sentToken(h http.Header) bool {
	return h.Get("Authorization") != "" || a.TokenHeader != "" && h.Get(a.TokenHeader) != ""
}

// authenticate returns the caller, whose token is for the domain of the request.
func (h *Handler) authenticate(r *Request, a Authentication) (*authn.Caller, error) {
	in := r.Request
	if a.TokenHeader != "" && len(in.Header["Authorization"]) == 0 && in.Header.Get(a.TokenHeader) != "" {
		in = in.WithContext(in.Context()) // a copy
		in.Header = in.Header.Clone()
		in.Header.Set("Authorization", in.Header.Get(a.TokenHeader))
	}
	caller, err := h.c.Authenticator.Bearer(in, token.CodeArtifact)
	if err != nil {
		return nil, err
	}
	return caller, checkScope(caller.Token, r.Repository.Domain)
}

// checkScope refuses a token that was issued for another domain: "The token works
// for one domain" (CodeArtifact User Guide, "Tokens created with the
// GetAuthorizationToken API").
func checkScope(c *token.Claims, d packages.DomainID) error {
	if c == nil {
		return fault.New(fault.Unauthenticated, "InvalidToken", "Authenticate with the token of codeartifact:GetAuthorizationToken.")
	}
	if c.Domain == d.Name && c.DomainOwner == d.Owner && c.Region == d.Region {
		return nil
	}
	return fault.New(fault.Denied, "AccessDenied",
		"The authorization token is for the domain %s of account %s in %s, but this is the domain %s of account %s in %s. Get a token for this domain.",
		c.Domain, c.DomainOwner, c.Region, d.Name, d.Owner, d.Region)
}

// awsLoginTools are the tools that `aws codeartifact login` knows. `gatehouse login`
// knows the clients of every format.
var awsLoginTools = []string{"npm", "pip", "twine", "dotnet", "nuget", "swift"}

// challenge adds the challenges of a 401 to the header. The returned error says how to
// get a new token.
func (h *Handler) challenge(w http.ResponseWriter, r *Request, protocol Protocol, e *fault.Error) *fault.Error {
	d := r.Repository.Domain
	explained := *e
	tool := protocol.LoginTool(r.Request)
	program := "gatehouse login"
	if slices.Contains(awsLoginTools, tool) {
		program = "aws codeartifact login"
	}
	explained.Message = fmt.Sprintf("%s For this repository: %s --tool %s --domain %s --domain-owner %s --repository %s --region %s",
		e.Message, program, tool, d.Name, d.Owner, r.Repository.Name, d.Region)
	a := protocol.Authentication()
	reason := ""
	if a.sentToken(r.Header) {
		reason = headerText(explained.Message)
	}
	for _, c := range a.Challenges {
		w.Header().Add("WWW-Authenticate", c(r, reason))
	}
	return &explained
}

// headerText replaces what cannot be in a quoted string of a header.
func headerText(s string) string {
	return strings.NewReplacer(`"`, "'", `\`, "'").Replace(HeaderLine(s))
}
