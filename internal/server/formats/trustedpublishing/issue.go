package trustedpublishing

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/gatehouse-registry/gatehouse/internal/fault"
	"github.com/gatehouse-registry/gatehouse/internal/server/audit"
	"github.com/gatehouse-registry/gatehouse/internal/server/authn"
	"github.com/gatehouse-registry/gatehouse/internal/server/iam/sts"
	"github.com/gatehouse-registry/gatehouse/internal/server/packages"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

// An issuedToken is a CodeArtifact token.
type issuedToken struct {
	text    string
	expires time.Time
}

// issue exchanges the token that the client sends.
func (h *Handler) issue(w http.ResponseWriter, r *http.Request, t target) (issuedToken, error) {
	var none issuedToken
	connection, err := h.c.Authn.Unsigned(r)
	if err != nil {
		return none, err
	}
	sent, err := sentToken(w, r, t)
	if err != nil {
		return none, err
	}
	publishers := h.publishers(t)
	roles := make([]sts.PublisherRole, len(publishers))
	for i, p := range publishers {
		if roles[i], err = publisherRole(p, t.repository); err != nil {
			return none, err
		}
	}
	session, err := h.c.Sessions.AssumePublisherRole(authn.WithCaller(r.Context(), connection), sts.AssumePublisherRole{
		Token: sent, Audiences: t.audiences(), Use: string(t.format) + " " + t.id.String(), Roles: roles,
	})
	if err != nil {
		return none, err
	}
	return h.mint(r, publishers[session.Role], session)
}

// publishers are the roles in question.
func (h *Handler) publishers(t target) []packages.TrustedPublisher {
	var all []packages.TrustedPublisher
	for _, d := range t.domains {
		if t.format == packages.NPM {
			all = append(all, h.c.Packages.PackagePublishers(d, t.id)...)
		} else {
			all = append(all, h.c.Packages.FormatPublishers(d, t.format)...)
		}
	}
	return all
}

// mint returns a token for the session, if the session may have one. It ends with the
// session.
func (h *Handler) mint(r *http.Request, p packages.TrustedPublisher, session sts.PublisherSession) (issuedToken, error) {
	var none issuedToken
	c, err := h.c.Authn.Session(r, session.Token, p.Domain.Region)
	if err != nil {
		return none, err
	}
	entry := audit.From(r.Context())
	entry.Caller(c)
	entry.Resource("AWS::CodeArtifact::Domain", p.Domain.ARN())
	entry.Resource("AWS::IAM::Role", p.RoleARN)
	for _, id := range p.Packages {
		entry.Resource("", p.Domain.Repository("*").PackageARN(id))
	}
	now := h.c.Now().Truncate(time.Second)
	if err := h.c.Packages.AuthorizeToken(authn.WithCaller(r.Context(), c), p.Domain, session.Expires.Sub(now)); err != nil {
		return none, err
	}
	claims := c.BearerClaims()
	claims.ID = token.NewID(token.BearerToken)
	claims.Issued, claims.Expires = now, session.Expires
	claims.Domain, claims.DomainOwner = p.Domain.Name, p.Domain.Owner
	text, err := h.c.Tokens.Mint(token.CodeArtifact, claims)
	return issuedToken{text, session.Expires}, err
}

// sentToken returns the token of the CI system. npm sends it as its bearer token, and the
// clients of PyPI in a document.
func sentToken(w http.ResponseWriter, r *http.Request, t target) (string, error) {
	if t.format == packages.NPM {
		values := r.Header.Values("Authorization")
		if len(values) != 1 {
			return "", badRequest("the request has no Authorization header, or several")
		}
		scheme, text, ok := strings.Cut(values[0], " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") {
			return "", badRequest("the request has no bearer token")
		}
		return strings.TrimSpace(text), nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return "", badRequest("the document is too large")
	case err != nil:
		return "", badRequest("the document could not be read")
	}
	var document struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &document); err != nil || document.Token == "" {
		return "", badRequest(`the document is not {"token": "..."}`)
	}
	return document.Token, nil
}

func badRequest(why string) error {
	return fault.New(fault.Invalid, "InvalidIdentityToken", "There is no token of a CI system: %s.", why)
}

// A statement of a policy.
type statement struct {
	Effect   string
	Action   []string
	Resource []string
}

// publisherRole limits a session of the publisher's role to publishing its packages, in
// one repository if that is not empty, and to what the token itself needs.
func publisherRole(p packages.TrustedPublisher, repository string) (sts.PublisherRole, error) {
	if repository == "" {
		repository = "*" // the role's own policies say which
	}
	publish := statement{Effect: "Allow", Action: []string{"codeartifact:PublishPackageVersion", "codeartifact:PutPackageMetadata"}}
	for _, id := range p.Packages {
		if strings.ContainsAny(id.Namespace+id.Name, "*?$") {
			return sts.PublisherRole{}, fault.New(fault.Invalid, "InvalidPackage", "%s has a character in its name that means something else in a policy.", id)
		}
		publish.Resource = append(publish.Resource, p.Domain.Repository(repository).PackageARN(id))
	}
	document, err := json.Marshal(map[string]any{
		"Version": "2012-10-17",
		"Statement": []statement{
			publish,
			{"Allow", []string{"codeartifact:GetAuthorizationToken"}, []string{p.Domain.ARN()}},
			{"Allow", []string{"sts:GetServiceBearerToken"}, []string{"*"}},
		},
	})
	return sts.PublisherRole{ARN: p.RoleARN, Policy: string(document)}, err
}
