package toolenv

import (
	"strings"

	"github.com/gatehouse-registry/gatehouse/internal/client/project"
)

// simple is where below a repository the index of PEP 503 is, with its user and
// password.
func simple(e project.Endpoint) string { return withUser(e, "simple/") }

// simples are the indexes of several, for variables that separate them by
// spaces.
func simples(endpoints []project.Endpoint) string {
	list := make([]string, len(endpoints))
	for i, e := range endpoints {
		list[i] = simple(e)
	}
	return strings.Join(list, " ")
}

// pip takes the password from the address, as it has no other variable for it.
// It does not print it.
func pip(s *setter) {
	s.addressed("PIP_INDEX_URL", simple(s.first()), s.first())
	s.unset("PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX")
	if more := s.endpoints[1:]; len(more) > 0 {
		s.addressed("PIP_EXTRA_INDEX_URL", simples(more), more...)
	}
}

// uv has variables for the password of an index by its name, which a project's
// pyproject.toml could give to another address. It writes none of an address into
// uv.lock.
func uv(s *setter) {
	s.addressed("UV_DEFAULT_INDEX", simple(s.first()), s.first())
	s.unset("UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_NO_INDEX", "UV_PUBLISH_TOKEN", "UV_PUBLISH_INDEX")
	if more := s.endpoints[1:]; len(more) > 0 {
		s.addressed("UV_INDEX", simples(more), more...)
	}
	s.set("UV_PUBLISH_URL", s.first().Endpoint.String())
	s.user("UV_PUBLISH_USERNAME", "UV_PUBLISH_PASSWORD", s.first())
}

// poetry gets the password for a source that pyproject.toml calls by the
// repository's name, and a repository of that name to publish to.
func poetry(s *setter) {
	for _, e := range s.endpoints {
		name := variable(e.Name)
		s.set("POETRY_REPOSITORIES_"+name+"_URL", e.Endpoint.String())
		s.user("POETRY_HTTP_BASIC_"+name+"_USERNAME", "POETRY_HTTP_BASIC_"+name+"_PASSWORD", e)
		s.unset("POETRY_PYPI_TOKEN_" + name)
	}
}

// pdm has variables for the password of the index, which win over those of its
// configuration as the one in an address would not.
func pdm(s *setter) {
	s.set("PDM_PYPI_URL", s.first().Endpoint.JoinPath("simple/").String())
	s.user("PDM_PYPI_USERNAME", "PDM_PYPI_PASSWORD", s.first())
	s.set("PDM_PUBLISH_REPO", s.first().Endpoint.String())
	s.user("PDM_PUBLISH_USERNAME", "PDM_PUBLISH_PASSWORD", s.first())
}

func twine(s *setter) {
	s.unset("TWINE_REPOSITORY")
	s.set("TWINE_REPOSITORY_URL", s.first().Endpoint.String())
	s.user("TWINE_USERNAME", "TWINE_PASSWORD", s.first())
}

// user sets a user name and a password. Behind a proxy that adds its own, tools
// that insist on some get ones that are no secret.
func (s *setter) user(name, password string, e project.Endpoint) {
	if e.Token.Password == "" {
		s.set(name, "aws")
		s.set(password, "none")
		return
	}
	s.set(name, e.Token.Username)
	s.secret(password, e.Token.Password, e)
}
